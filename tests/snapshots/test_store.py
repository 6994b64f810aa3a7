"""Snapshots on disk: names, lists, and disks that refuse."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent_core.base.errors import InvalidParams, InvalidState, NotFound, StorageFailed
from agent_core.base.models import CameraId, PictureFormat
from agent_core.snapshots.store import SnapshotStore

CAMERA = CameraId("camera0")
AT = datetime(2026, 11, 22, 17, 3, 54, 123456, UTC)
#: Names of no snapshot; TMP is the folder above the store's.
HOSTILE_NAMES = (
    "../kept.jpg",
    "camera0/../../kept.jpg",
    "camera0/../camera0/link.jpg",
    "TMP/kept.jpg",
    "camera7/kept.jpg",
    "camera0/link.jpg",
    "camera0/folder.jpg",
    "camera0/fifo.jpg",
    "camera0/.jpg",
    "camera0/..",
    "camera0/",
    "camera0",
    "camera0/none.jpg\0.jpg",
    "camera0/\ud800.jpg",
    "camera0/\udcff.jpg",
    "camera\u0660/none.jpg",
    f"camera0/{'x' * 5000}.jpg",
    f"{'camera0/' * 500}kept.jpg",
)


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path / "snapshots")


async def save(store: SnapshotStore, name: str | None = None, camera: str = "camera0") -> str:
    return (await store.save(CameraId(camera), name, b"data", PictureFormat.JPG, AT)).name


async def test_without_a_name_camera_and_time_make_one(store: SnapshotStore) -> None:
    assert await save(store) == "camera0/camera0_2026-11-22_17-03-54-123Z.jpg"
    assert await save(store) == "camera0/camera0_2026-11-22_17-03-54-123Z-2.jpg"


async def test_a_given_name_gets_its_suffix_and_is_never_overwritten(store: SnapshotStore) -> None:
    assert await save(store, "front") == "camera0/front.jpg"
    assert await save(store, "front.jpg", "camera1") == "camera1/front.jpg"
    with pytest.raises(InvalidState) as caught:
        await save(store, "front.jpg")
    assert caught.value.reason == "file_exists"


@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "a/b",
        ".hidden",
        "",
        "a\0b",
        "a b",
        "x" * 300,
        "a\n",
        "front.png",
        "-rf",
        "ü.jpg",
        "..",
        "/etc/x",
    ],
)
async def test_names_that_could_leave_the_folder_are_refused(
    store: SnapshotStore, name: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidParams) as caught:
        await save(store, name)
    assert caught.value.param == "filename"
    assert list(tmp_path.rglob("*.jpg")) == []


async def test_lists_are_newest_first_and_hold_only_our_files(store: SnapshotStore) -> None:
    assert await store.all() == []
    names = [await save(store, f"n{number}", f"camera{number % 2}") for number in range(4)]
    root = store.root
    (root / "notes.txt").write_text("")
    (root / "camera0" / "film.mp4").write_text("")
    (root / "camera0" / "link.jpg").symlink_to("/etc/hostname")
    (root / "camera0" / ".partial-x.jpg").write_text("")
    (root / "other").mkdir()
    (root / "other" / "x.jpg").write_text("")
    assert {file.name for file in await store.all()} == set(names)
    assert [file.name for file in await store.all(CAMERA)] == ["camera0/n2.jpg", "camera0/n0.jpg"]


async def test_find_knows_the_short_form_of_our_own_names(store: SnapshotStore) -> None:
    name = await save(store)
    assert (await store.find(name.partition("/")[2])).name == name
    assert (await store.find(name)).size_bytes == 4


@pytest.mark.parametrize(
    "name", ["camera0/none.jpg", "none.jpg", "../camera0/x.jpg", "camera0/../x", "/", "camera0/", "a\0"]
)
async def test_what_is_not_there_is_not_found(store: SnapshotStore, name: str) -> None:
    await save(store)
    with pytest.raises(NotFound):
        await store.find(name)


#: What another program, or a person, may call a file; 255 bytes is what file systems take.
STRANGE_NAMES = (
    "sp ace.jpg",
    "%s%n.jpg",
    "a#b?c=d&e.jpg",
    "-rf.jpg",
    "\u00fc.jpg",
    "u\u0308.jpg",
    "\"quote'.jpg",
    "<b>.jpg",
    "back\\slash.jpg",
    "\u05d0\u200f.jpg",
    "x" * 251 + ".jpg",
    "\U0001f4f7.JPEG",
)


async def test_every_name_that_is_listed_is_found(store: SnapshotStore) -> None:
    await save(store)
    for name in STRANGE_NAMES:
        (store.root / "camera0" / name).write_bytes(b"data")
    listed = [file.name for file in await store.all()]
    assert set(listed) >= {f"camera0/{name}" for name in STRANGE_NAMES}
    assert [(await store.find(name)).name for name in listed] == listed


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.jpg", b"new\nline.jpg", b"\x1b[31m.jpg", b"\xc2\x85.jpg", b"\xe2\x80\xa8.jpg"]
)
async def test_a_name_that_cannot_be_sent_is_left_out_and_told_of_once(
    store: SnapshotStore, name: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    good = await save(store)
    for prefix in (b"", b"2"):
        (store.root / "camera0" / os.fsdecode(prefix + name)).write_bytes(b"data")
    for _ in range(2):
        assert [file.name for file in await store.all()] == [good]
    with pytest.raises(NotFound):
        await store.find("camera0/" + os.fsdecode(name))
    assert len([record for record in caplog.records if "are not listed" in record.message]) == 1


@pytest.mark.parametrize("mtime_s", [-(10**9), 0, 2**34, 2**40])
async def test_no_time_of_a_file_breaks_the_list(store: SnapshotStore, mtime_s: int) -> None:
    name = await save(store)
    os.utime(store.root / name, (0, mtime_s))
    assert [file.name for file in await store.all()] == [name]


async def test_folders_are_closed_to_others_whatever_the_umask(store: SnapshotStore) -> None:
    before = os.umask(0)
    try:
        await save(store)
    finally:
        os.umask(before)
    made = [store.root, *store.root.rglob("*")]
    assert [each for each in made if each.stat().st_mode & 0o007] == []


async def test_a_folder_named_like_a_partial_file_keeps_nothing_from_starting(store: SnapshotStore) -> None:
    await save(store)
    (store.root / "camera0" / ".partial-folder").mkdir()
    await store.prepare()
    assert len(await store.all()) == 1


async def test_left_over_partial_files_are_swept(store: SnapshotStore) -> None:
    await save(store)
    left = store.root / "camera0" / ".partial-abc"
    left.write_text("half")
    await store.prepare()
    assert not left.exists()
    assert len(await store.all()) == 1


async def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SnapshotStore(tmp_path / "file" / "snapshots")
    with pytest.raises(StorageFailed):
        await store.prepare()
    with pytest.raises(StorageFailed) as caught:
        await save(store)
    assert caught.value.suggestion


async def test_pages_are_cut_from_the_list_newest_first(store: SnapshotStore) -> None:
    names = [await save(store, f"n{number:02d}", f"camera{number % 2}") for number in range(20)]
    for number, name in enumerate(names):
        os.utime(store.root / name, (0, 1000 + number))
    (store.root / "camera0" / "notes.txt").write_text("")
    (store.root / "camera0" / "jpg").write_text("")
    page = await store.page(None, offset=3, limit=4)
    assert [file.name for file in page.items] == names[-4:-8:-1]
    assert page.total == 20
    page = await store.page(CAMERA, offset=8, limit=4)
    assert [file.name for file in page.items] == ["camera0/n02.jpg", "camera0/n00.jpg"]
    assert page.total == 10
    assert (await store.page(CAMERA, offset=99, limit=4)).items == ()
    assert (await store.page(CameraId("camera7"), offset=0, limit=4)).total == 0


async def test_a_camera_folder_that_is_a_link_is_as_unknown_to_find_as_to_lists(
    store: SnapshotStore, tmp_path: Path
) -> None:
    name = await save(store)
    (store.root / "camera0").rename(tmp_path / "elsewhere")
    (store.root / "camera0").symlink_to(tmp_path / "elsewhere")
    assert await store.all() == []
    with pytest.raises(NotFound):
        await store.find(name)


async def test_a_deleted_snapshot_is_gone_and_the_others_stay(store: SnapshotStore) -> None:
    gone, kept = await save(store), await save(store, "kept")
    assert (await store.delete(gone)).name == gone
    assert [each.name for each in await store.all()] == [kept]
    with pytest.raises(NotFound):
        await store.delete(gone)


async def test_a_name_that_the_agent_made_is_deleted_without_its_folder(store: SnapshotStore) -> None:
    name = await save(store)
    assert (await store.delete(name.partition("/")[2])).name == name
    assert await store.all() == []


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_no_name_deletes_anything_outside(store: SnapshotStore, name: str, tmp_path: Path) -> None:
    await save(store)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.jpg").write_bytes(b"x")
    (tmp_path / "kept.jpg").write_bytes(b"x")
    (store.root / "camera7").symlink_to(outside)
    (store.root / "camera0" / "link.jpg").symlink_to(outside / "kept.jpg")
    (store.root / "camera0" / "folder.jpg").mkdir()
    os.mkfifo(store.root / "camera0" / "fifo.jpg")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotFound):
        await store.delete(name.replace("TMP", str(tmp_path)))
    assert sorted(tmp_path.rglob("*")) == before

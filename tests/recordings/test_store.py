"""Recordings on disk: names, lists, notes that are damaged, folders that vanish, disks that refuse."""

import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent_core.base.errors import NotFound, StorageFailed
from agent_core.base.models import CameraId
from agent_core.base.volumes import Volume
from agent_core.media.downloads import ServedFile
from agent_core.media.fmp4 import is_finished
from agent_core.plugin import ffmpeg
from agent_core.recordings.models import RecordingFormat, RecordingNote
from agent_core.recordings.shelf import NOTE
from agent_core.recordings.store import RecordingStore

CAMERA = CameraId("camera0")
AT = datetime(2026, 11, 22, 17, 3, 54, 123456, UTC)
FIRST = "camera0_2026-11-22_17-03-54Z"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "recordings"


@pytest.fixture
def store(root: Path) -> RecordingStore:
    return RecordingStore(root)


def make(store: RecordingStore, camera: str = "camera0", at: datetime = AT) -> RecordingNote:
    return store.create(CameraId(camera), RecordingFormat.FMP4, at)


def segment(root: Path, note: RecordingNote, name: str, data: bytes = b"x") -> Path:
    path = root / note.camera / note.id / name
    path.write_bytes(data)
    return path


async def movie(path: Path, duration_s: float) -> None:
    source = f"testsrc2=size=160x120:rate=10:duration={duration_s}"
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "5")
    fragmented = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
    await ffmpeg.run(ffmpeg.locate(), ["-f", "lavfi", "-i", source, *encoder, *fragmented, str(path)])


async def test_a_recording_is_a_folder_named_by_camera_and_time(store: RecordingStore, root: Path) -> None:
    first, second = make(store), make(store)
    assert [first.id, second.id] == [FIRST, f"{FIRST}-2"]
    assert (root / "camera0" / FIRST / NOTE).is_file()
    assert store.record_path(first) == f"{root}/%path/{FIRST}/%Y-%m-%d_%H-%M-%S-%fZ"
    assert [(await store.find(each.id)).note for each in (first, second)] == [first, second]


async def test_lists_are_newest_first_and_of_one_camera_if_asked(store: RecordingStore) -> None:
    old = make(store, at=AT - timedelta(days=1))
    other = make(store, "camera12")
    new = make(store, at=AT + timedelta(days=1))
    assert [each.note.id for each in await store.all()] == [new.id, other.id, old.id]
    assert [each.note.id for each in await store.all(CAMERA)] == [new.id, old.id]
    assert await store.all(CameraId("camera7")) == []


async def test_no_folder_is_an_empty_list(store: RecordingStore) -> None:
    assert await store.all() == []


async def test_segments_are_the_media_files_oldest_first(store: RecordingStore, root: Path) -> None:
    note = make(store)
    for name in ("2026-11-22_17-04-54-000000.mp4", "2026-11-22_17-03-54-000000.mp4", "notes.txt", ".hidden"):
        segment(root, note, name, b"12345")
    (root / "camera0" / note.id / "link.mp4").symlink_to("/etc/passwd")
    (root / "camera0" / note.id / "folder.mp4").mkdir()
    stored = await store.find(note.id)
    assert [each.name for each in stored.segments] == [
        "2026-11-22_17-03-54-000000.mp4",
        "2026-11-22_17-04-54-000000.mp4",
    ]
    assert stored.size_bytes == 10


BAD_NAMES = [
    "",
    "..",
    "../camera0",
    "camera0",
    "camera0/..",
    f"../recordings/camera0/{FIRST}",
    f"camera0/{FIRST}",
    f"{FIRST}/..",
    f"{FIRST}\0",
    f"{FIRST}\n",
    "camera0_..",
    "camera0_" + "x" * 5000,
    f"{FIRST}-0",
    "camera0_\ud800",
    "camera0_\uff12026-11-22_17-03-54Z",
    "camera1_2026-11-22_17-03-54Z",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
async def test_names_that_are_no_recording_are_not_found(
    store: RecordingStore, root: Path, name: str
) -> None:
    segment(root, make(store), "a.mp4")
    with pytest.raises(NotFound) as caught:
        await store.find(name)
    assert caught.value.reason == "recording_not_found"
    assert caught.value.suggestion
    assert store.segment_names(name) == []
    if name.partition("/")[0] != FIRST:
        assert store.resolve(name) is None


@pytest.mark.parametrize("inner", ["..", "../a.mp4", "recording.json", "b.mp4", "a.mp4/", "/a.mp4"])
def test_only_segments_are_downloads(store: RecordingStore, root: Path, inner: str) -> None:
    segment(root, make(store), "a.mp4")
    assert store.resolve(f"{FIRST}/{inner}") is None


def test_a_download_names_the_next_segment(store: RecordingStore, root: Path) -> None:
    note = make(store)
    segment(root, note, "a.mp4")
    segment(root, note, "b.mp4")
    first, second = store.resolve(note.id), store.resolve(f"{note.id}/b.mp4")
    assert isinstance(first, ServedFile)
    assert isinstance(second, ServedFile)
    assert (first.relative, first.next_name) == (f"camera0/{note.id}/a.mp4", f"{note.id}/b.mp4")
    assert (second.relative, second.next_name) == (f"camera0/{note.id}/b.mp4", None)


@pytest.mark.parametrize(
    "damage",
    [
        lambda note: note.write_bytes(note.read_bytes()[:40]),
        lambda note: note.write_bytes(b""),
        lambda note: note.write_bytes(b"\xff\xfe"),
        lambda note: note.unlink(),
        lambda note: note.write_text(note.read_text().replace("17-03-54Z", "17-03-55Z")),
        lambda note: (note.unlink(), note.mkdir()),
    ],
    ids=["torn", "empty", "binary", "gone", "of another recording", "a folder"],
)
async def test_a_damaged_note_hides_its_recording_and_no_other(
    store: RecordingStore, root: Path, damage: Callable[[Path], object]
) -> None:
    hurt, whole = make(store), make(store)
    damage(root / "camera0" / hurt.id / NOTE)
    assert [each.note.id for each in await store.all()] == [whole.id]
    with pytest.raises(NotFound):
        await store.find(hurt.id)


@pytest.mark.parametrize("key", ["started_at", "ended_at"])
async def test_a_time_without_a_zone_is_a_damaged_note(store: RecordingStore, root: Path, key: str) -> None:
    """It could not be compared with any other time, so one such note would end every list."""
    kept, damaged = make(store), make(store, "camera1")
    note = root / "camera1" / damaged.id / NOTE
    note.write_text(json.dumps({**json.loads(note.read_text()), key: "2026-11-22T17:03:54"}))
    assert [each.note for each in await store.all()] == [kept]


@pytest.mark.parametrize(("time_s", "year"), [(1e12, 9999), (-1e12, 1970)])
async def test_a_files_time_that_no_calendar_has_ends_no_list(time_s: float, year: int) -> None:
    """A file system in memory keeps such times as they are; ext4 does not."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        store = RecordingStore(Path(memory))
        path = segment(Path(memory), make(store), "2026-11-22_17-03-54-000000.mp4")
        os.utime(path, (time_s, time_s))
        (stored,) = await store.all()
        assert stored.modified_at.year == year


async def test_a_link_to_a_recording_is_none(store: RecordingStore, root: Path) -> None:
    note = make(store)
    (root / "camera0" / f"{FIRST}-7").symlink_to(root / "camera0" / note.id)
    assert [each.note.id for each in await store.all()] == [note.id]


async def test_a_folder_that_vanishes_is_read_as_empty(store: RecordingStore, root: Path) -> None:
    note = make(store)
    (root / "camera0" / note.id / NOTE).unlink()
    (root / "camera0" / note.id).rmdir()
    assert store.read(note).segments == ()
    store.discard(note)


def test_discarding_keeps_what_was_recorded(store: RecordingStore, root: Path) -> None:
    empty, full = make(store), make(store)
    kept = segment(root, full, "a.mp4")
    store.discard(empty)
    store.discard(full)
    assert not (root / "camera0" / empty.id).exists()
    assert kept.exists()


async def test_durations_are_read_once_a_size(store: RecordingStore, root: Path) -> None:
    note = make(store)
    path = root / "camera0" / note.id / "a.mp4"
    await movie(path, 2.0)
    stored = store.read(note)
    assert store.segment_durations_s(stored) == pytest.approx([2.0], abs=0.01)
    size = path.stat().st_size
    path.write_bytes(b"\0" * size)
    assert store.segment_durations_s(stored) == pytest.approx([2.0], abs=0.01)  # not read again
    await movie(path.with_name("b.mp4"), 3.0)
    path.write_bytes(path.with_name("b.mp4").read_bytes())
    assert await store.durations_s(store.read(note)) == pytest.approx([3.0, 3.0], abs=0.01)
    assert sum(await store.durations_s(store.read(note))) == pytest.approx(6.0, abs=0.01)


async def test_a_damaged_segment_has_no_duration(store: RecordingStore, root: Path) -> None:
    note = make(store)
    segment(root, note, "a.mp4", b"\0" * 100)
    segment(root, note, "b.ts", b"\0" * 100)
    assert store.segment_durations_s(store.read(note)) == [0.0, 0.0]


async def test_a_file_with_nothing_in_it_is_no_segment_and_goes_with_the_recording(
    store: RecordingStore, root: Path
) -> None:
    """A media server makes one at each attempt while the disk is full."""
    note, only = make(store), make(store)
    first = segment(root, note, "a.mp4")
    for name in ("b.mp4", "c.ts"):
        segment(root, note, name, b"")
        segment(root, only, name, b"")
    stored = await store.find(note.id)
    assert [each.path for each in stored.segments] == [first]
    assert store.segment_names(note.id) == ["a.mp4"]
    assert store.read(only).segments == ()
    assert stored.is_last_empty  # may be one that has just been begun
    assert store.read(only).is_last_empty
    segment(root, note, "d.mp4")
    stored = await store.find(note.id)
    assert not stored.is_last_empty
    store.discard(only)
    store.delete(stored)
    assert list((root / "camera0").iterdir()) == []


async def test_interrupted_writes_of_the_note_keep_no_folder_from_going(
    store: RecordingStore, root: Path
) -> None:
    note, empty = make(store), make(store)
    segment(root, note, "a.mp4")
    for each in (note, empty):
        segment(root, each, ".partial-x1", b"{")
    store.discard(empty)
    store.delete(await store.find(note.id))
    assert list((root / "camera0").iterdir()) == []


def test_a_folder_that_cannot_be_read_is_said_when_it_is_to_be_deleted(
    store: RecordingStore, root: Path
) -> None:
    stored = store.read(make(store))
    stored.folder.rename(root / "elsewhere")
    stored.folder.symlink_to(stored.folder)  # a loop, which even root cannot read
    with pytest.raises(StorageFailed):
        store.delete(stored)


class VanishedDisk(Volume):
    """A disk that looks as if it were there `looks` times, then is missing."""

    looks = 0

    def check(self) -> None:
        self.looks -= 1
        if self.looks < 0:
            raise StorageFailed("The disk is not mounted.", reason="disk_missing")


@pytest.mark.parametrize("looks", [0, 1], ids=["before", "meanwhile"])
def test_on_a_vanished_disk_nothing_counts_as_deleted(root: Path, looks: int) -> None:
    disk = VanishedDisk(root)
    store = RecordingStore(root, volume=disk)
    stored = store.read(make(store))
    root.rename(root.with_name("pulled"))
    disk.looks = looks
    with pytest.raises(StorageFailed) as caught:
        store.delete(stored)
    assert caught.value.reason == "disk_missing"


async def test_a_file_is_finished_when_its_header_has_a_duration(tmp_path: Path) -> None:
    fragmented, plain = tmp_path / "a.mp4", tmp_path / "b.mp4"
    await movie(fragmented, 1.0)
    await ffmpeg.run(
        ffmpeg.locate(), ["-i", str(fragmented), "-c", "copy", "-movflags", "faststart", str(plain)]
    )
    (tmp_path / "c.mp4").write_bytes(b"\0" * 20)
    assert not is_finished(fragmented)
    assert is_finished(plain)
    assert not is_finished(tmp_path / "c.mp4")
    assert not is_finished(tmp_path / "none.mp4")


def test_a_file_stands_where_the_folder_should_be(root: Path, store: RecordingStore) -> None:
    root.write_text("")
    with pytest.raises(StorageFailed) as caught:
        make(store)
    assert caught.value.reason in {"not_a_folder", "storage_failed"}
    assert caught.value.suggestion


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(root: Path, store: RecordingStore) -> None:
    root.mkdir(mode=0o500)
    with pytest.raises(StorageFailed) as caught:
        make(store)
    assert caught.value.reason == "not_writable"
    assert not list(root.iterdir())


@pytest.mark.parametrize(
    "member",
    [
        {"started_at": "0001-01-01T00:00:00+23:59"},
        {"started_at": "9999-12-31T23:59:59-23:59"},
        {"ended_at": "9999-12-31T23:59:59-23:59"},
        {"duration_s": float("nan")},
        {"duration_s": float("inf")},
    ],
)
async def test_a_note_with_what_cannot_be_sent_is_none(
    store: RecordingStore, root: Path, member: dict[str, object]
) -> None:
    good, bad = make(store), make(store)
    path = root / "camera0" / bad.id / NOTE
    path.write_text(json.dumps(json.loads(path.read_text()) | member))
    assert [each.note.id for each in await store.all()] == [good.id]


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "huge"])
async def test_what_stands_in_a_notes_place_is_not_waited_for(
    store: RecordingStore, root: Path, kind: str
) -> None:
    good, bad = make(store), make(store)
    segment(root, bad, "a.mp4")
    path = root / "camera0" / bad.id / NOTE
    kept = path.rename(root / "note")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(kept)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    assert [each.note.id for each in await store.all()] == [good.id]
    with pytest.raises(NotFound):
        await store.find(bad.id)
    assert store.segment_names(bad.id) == []


async def test_only_what_can_be_asked_for_is_listed(store: RecordingStore, root: Path) -> None:
    note = make(store)
    for name in (b"\xff.mp4", b"new\nline.mp4", b".hidden.mp4"):
        (root / "camera0" / note.id / os.fsdecode(name)).write_bytes(b"x")
    segment(root, note, "sp ace.mp4")
    other = root / "camera0" / "my own name"
    other.mkdir()
    (other / NOTE).write_text(note.model_copy(update={"id": other.name}).model_dump_json())
    (root / "camera7").symlink_to("camera0")
    assert [each.note.id for each in await store.all()] == [note.id]
    assert store.segment_names(note.id) == ["sp ace.mp4"]


async def test_folders_are_closed_to_others_whatever_the_umask(store: RecordingStore, root: Path) -> None:
    before = os.umask(0)
    try:
        make(store)
    finally:
        os.umask(before)
    assert [each for each in (root, *root.rglob("*")) if each.stat().st_mode & 0o007] == []


async def test_pages_are_cut_from_the_list_with_durations(store: RecordingStore, root: Path) -> None:
    notes = [make(store, at=AT + timedelta(hours=number)) for number in range(5)]
    await movie(root / "camera0" / notes[2].id / "a.mp4", 1.0)
    damaged = make(store, at=AT + timedelta(days=2))
    (root / "camera0" / damaged.id / NOTE).write_text("{}")
    page = await store.page(None, offset=1, limit=3)
    assert [each.stored.note.id for each in page.items] == [note.id for note in notes[3:0:-1]]
    assert [round(each.duration_s, 1) for each in page.items] == [0.0, 1.0, 0.0]
    assert page.total == 5
    assert (await store.page(CameraId("camera7"), offset=0, limit=3)).total == 0


async def test_a_camera_folder_that_is_a_link_is_as_unknown_to_find_as_to_lists(
    store: RecordingStore, root: Path, tmp_path: Path
) -> None:
    note = make(store)
    segment(root, note, "a.mp4")
    (root / "camera0").rename(tmp_path / "elsewhere")
    (root / "camera0").symlink_to(tmp_path / "elsewhere")
    assert await store.all() == []
    assert store.segment_names(note.id) == []
    with pytest.raises(NotFound):
        await store.find(note.id)

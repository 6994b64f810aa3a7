"""Deletion at a client's request: what has ended goes, what runs or will continue stays, and no name leads outside."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import InvalidState, NotFound
from agent_core.base.models import CameraId
from agent_core.recordings.deletion import delete_recording
from agent_core.recordings.models import RecordingFormat
from agent_core.testing.mediamtx import MediaServerUnderTest
from tests.media_plane import Plane, camera, running_plane

CAMERA = CameraId("camera0")
AT = datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)
ID = "camera0_2026-11-22_17-03-54Z"
#: Names of no recording; TMP is the folder above the root.
HOSTILE_NAMES = (
    "..",
    "../outside",
    f"../{ID}",
    f"{ID}/../{ID}",
    f"{ID}/",
    f"/{ID}",
    f"TMP/recordings/camera0/{ID}",
    f"{ID}\0",
    f"{ID}\n",
    f"{ID}\ud800",
    ID.replace("2026", "\u0662\u0660\u0662\u0666"),
    ID.replace("camera0", "camera7"),
    ID.replace("17-03-54", "17-03-55"),
    ID.replace("17-03-54", "17-03-56"),
    f"{ID}-{'9' * 5000}",
    "x" * 100_000,
    "",
)


@pytest.fixture
async def plane(media_server: MediaServerUnderTest, tmp_path: Path) -> AsyncIterator[Plane]:
    async with running_plane(media_server, tmp_path) as plane:
        plane.recordings.expect()
        yield plane


async def test_a_recording_under_way_is_refused_and_goes_once_it_has_ended(plane: Plane) -> None:
    with anyio.fail_after(20):
        active = await plane.recordings.start(
            camera("camera0"), duration_s=None, form=RecordingFormat.FMP4, wait=True
        )
    with pytest.raises(InvalidState) as caught:
        await delete_recording(plane.recordings, plane.files, active.note.id)
    assert (caught.value.reason, caught.value.state) == ("in_use", "RECORDING")
    await plane.recordings.stop(CAMERA)
    gone = await delete_recording(plane.recordings, plane.files, active.note.id)
    assert gone.size_bytes > 0
    assert not gone.folder.exists()
    assert await plane.files.all() == []


async def test_a_recording_that_waits_to_continue_is_refused(plane: Plane) -> None:
    stored = await plane.files.find(plane.files.create(CAMERA, RecordingFormat.FMP4, AT).id)
    plane.recordings.expect(stored)
    with pytest.raises(InvalidState) as caught:
        await delete_recording(plane.recordings, plane.files, ID)
    assert (caught.value.reason, caught.value.state) == ("in_use", "SUSPENDED")
    assert stored.folder.is_dir()


async def test_one_without_an_end_is_refused_until_it_is_known_which_ones_continue(
    media_server: MediaServerUnderTest, tmp_path: Path
) -> None:
    async with running_plane(media_server, tmp_path) as plane:
        stored = await plane.files.find(plane.files.create(CAMERA, RecordingFormat.FMP4, AT).id)
        with pytest.raises(InvalidState) as caught:
            await delete_recording(plane.recordings, plane.files, ID)
        assert (caught.value.reason, caught.value.state) == ("in_use", "SUSPENDED")
        assert stored.folder.is_dir()
        plane.recordings.expect()
        await delete_recording(plane.recordings, plane.files, ID)
        assert not stored.folder.exists()


async def test_files_that_are_not_of_the_recording_stay(plane: Plane) -> None:
    stored = await plane.files.find(plane.files.create(CAMERA, RecordingFormat.FMP4, AT).id)
    (stored.folder / "notes.txt").write_text("mine")
    await delete_recording(plane.recordings, plane.files, ID)
    assert [each.name for each in stored.folder.iterdir()] == ["notes.txt"]
    with pytest.raises(NotFound):
        await delete_recording(plane.recordings, plane.files, ID)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=range(len(HOSTILE_NAMES)))
async def test_no_name_deletes_anything_else(plane: Plane, name: str, tmp_path: Path) -> None:
    plane.files.create(CAMERA, RecordingFormat.FMP4, AT)
    root, outside = plane.files.root, tmp_path / "outside"
    outside.mkdir()
    (outside / "a.mp4").write_bytes(b"x")
    (root / "camera7").symlink_to(root / "camera0")
    (root / "camera0" / ID.replace("17-03-54", "17-03-55")).symlink_to(outside)
    os.mkfifo(root / "camera0" / ID.replace("17-03-54", "17-03-56"))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(NotFound):
        await delete_recording(plane.recordings, plane.files, name.replace("TMP", str(tmp_path)))
    assert sorted(tmp_path.rglob("*")) == before


async def test_links_in_a_recording_are_not_followed(plane: Plane, tmp_path: Path) -> None:
    stored = await plane.files.find(plane.files.create(CAMERA, RecordingFormat.FMP4, AT).id)
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"media")
    (stored.folder / "link.mp4").symlink_to(kept)
    (stored.folder / "hard.mp4").hardlink_to(kept)
    os.mkfifo(stored.folder / "fifo.mp4")
    await delete_recording(plane.recordings, plane.files, ID)
    assert kept.read_bytes() == b"media"
    assert sorted(each.name for each in stored.folder.iterdir()) == ["fifo.mp4", "link.mp4"]

"""The newest recordings, without a look at the others; and unfinished ones among many."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.models import CameraId
from agent_core.base.volumes import Volume
from agent_core.recordings.models import RecordingFormat
from agent_core.recordings.newest import NEWEST, newest
from agent_core.recordings.shelf import NOTE
from agent_core.recordings.store import RecordingStore
from agent_core.testing import running_agent

AT = datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)


def record(store: RecordingStore, camera: str, number: int, *, ended: bool = True) -> str:
    note = store.create(CameraId(camera), RecordingFormat.FMP4, AT + timedelta(minutes=number))
    if ended:
        store.save(note.model_copy(update={"ended_at": note.started_at}))
    return note.id


async def test_they_are_those_at_the_top_of_the_lists(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path)
    for number in (3, 1, 2, 2, 0):
        for camera in ("camera0", "camera12"):
            record(store, camera, number, ended=number != 1)
    (tmp_path / "camera0" / "zzz no recording").mkdir()
    whole = [each.note.id for each in await store.all()]
    found, are_all = await newest(store)
    assert ([each.note.id for each in found], are_all) == (whole, True)
    found, are_all = await newest(store, 3)
    assert ([each.note.id for each in found], are_all) == (whole[:6], False)


async def test_notes_of_others_are_not_read(tmp_path: Path) -> None:
    store = RecordingStore(tmp_path)
    ids = [record(store, "camera0", number) for number in range(5)]
    for each in ids[:-1]:
        (tmp_path / "camera0" / each / NOTE).unlink()
    found, are_all = await newest(store, 1)
    assert ([each.note.id for each in found], are_all) == ([ids[-1]], False)


class Missing(Volume):
    def check(self) -> None:
        raise StorageFailed("The disk is not mounted.", reason="disk_missing")


async def test_a_missing_folder_has_none_and_a_missing_disk_is_said(tmp_path: Path) -> None:
    assert await newest(RecordingStore(tmp_path / "missing")) == ([], True)
    with pytest.raises(StorageFailed):
        await newest(RecordingStore(tmp_path, volume=Missing(tmp_path)))


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "folders"])
async def test_an_unfinished_one_before_many_later_ones_is_closed(tmp_path: Path, *, has_index: bool) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    store = RecordingStore(state / "recordings")
    (state / "recordings").mkdir()
    old = record(store, "camera0", 0, ended=False)
    (state / "recordings/camera0" / old / "2026-11-22_17-03-54-000000Z.mp4").write_bytes(b"media")
    for number in range(1, NEWEST + 2):
        record(store, "camera0", number)
    if not has_index:
        (state / "index.sqlite").mkdir()
    note = state / "recordings/camera0" / old / NOTE
    async with running_agent(folder=tmp_path):
        with anyio.fail_after(40):
            while json.loads(note.read_text())["ended_at"] is None:
                await anyio.sleep(0.02)
    assert json.loads(note.read_text())["reason"] == "interrupted"

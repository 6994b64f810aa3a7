"""Which recordings go, and that nothing else does."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.models import CameraId
from agent_core.config import RecordingsConfig
from agent_core.recordings.models import RecordingFormat, StoredRecording
from agent_core.recordings.retention import RecordingCleaner, expired
from agent_core.recordings.store import RecordingStore
from agent_core.testing import SimulatedClock

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Shelf:
    """Recordings with one small segment each, made and ended `age` ago."""

    def __init__(self, folder: Path) -> None:
        self.store = RecordingStore(folder)

    def put(self, camera: str, age: timedelta, *, ended: bool = True) -> str:
        note = self.store.create(CameraId(camera), RecordingFormat.FMP4, NOW - age)
        segment = self.store.root / camera / note.id / "2026-11-22_00-00-00-000000.mp4"
        segment.write_bytes(b"media")
        made_s = (NOW - age).timestamp()
        os.utime(segment, (made_s, made_s))
        if ended:
            self.store.save(note.model_copy(update={"ended_at": NOW - age}))
        return note.id

    async def expired(
        self, *, days: float | None = None, count: int | None = None, in_use: str = ""
    ) -> list[str]:
        gone = expired(
            await self.store.all(),
            now=NOW,
            max_age_s=None if days is None else days * 86_400,
            max_count=count,
            in_use=lambda each: each.note.id == in_use,
        )
        return [each.note.id for each in gone]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "recordings")


async def test_nothing_goes_where_nothing_is_configured(shelf: Shelf) -> None:
    shelf.put("camera0", timedelta(days=900))
    assert await shelf.expired() == []


async def test_what_is_too_old_goes_oldest_first(shelf: Shelf) -> None:
    old, older = shelf.put("camera0", timedelta(days=8)), shelf.put("camera1", timedelta(days=9))
    shelf.put("camera0", timedelta(days=6))
    assert await shelf.expired(days=7) == [older, old]


async def test_the_number_is_counted_for_each_camera(shelf: Shelf) -> None:
    names = [shelf.put("camera0", timedelta(hours=hours)) for hours in (4, 3, 2, 1)]
    shelf.put("camera1", timedelta(hours=9))
    assert await shelf.expired(count=2) == names[:2]


async def test_one_in_use_or_never_ended_stays_and_is_not_counted(shelf: Shelf) -> None:
    old = shelf.put("camera0", timedelta(hours=5))
    shelf.put("camera0", timedelta(hours=4), ended=False)
    used = shelf.put("camera0", timedelta(hours=3))
    assert await shelf.expired(count=1, in_use=used) == []
    assert await shelf.expired(count=1) == [old]
    assert await shelf.expired(days=0.01, in_use=used) == [old]


async def test_only_our_files_are_deleted(shelf: Shelf) -> None:
    old, kept = shelf.put("camera0", timedelta(days=9)), shelf.put("camera0", timedelta(days=1))
    theirs = shelf.store.root / "camera0" / old / "notes.txt"
    theirs.write_text("not ours")
    (shelf.store.root / "camera0" / "holiday.mp4").write_text("not ours either")
    cleaner = RecordingCleaner(
        shelf.store,
        settings=RecordingsConfig(max_age_days=7),
        in_use=lambda camera, recording: False,
        clock=SimulatedClock(NOW),
    )
    assert await cleaner.clean() == [old]
    assert [each.note.id for each in await shelf.store.all()] == [kept]
    assert theirs.read_text() == "not ours"
    assert [each.name for each in theirs.parent.iterdir()] == ["notes.txt"]
    assert (shelf.store.root / "camera0" / "holiday.mp4").exists()


async def test_one_that_cannot_be_deleted_keeps_no_other(shelf: Shelf) -> None:
    stuck, old = shelf.put("camera0", timedelta(days=10)), shelf.put("camera1", timedelta(days=9))

    class Busy(RecordingStore):
        """The kernel's no to deleting a file."""

        def delete(self, stored: StoredRecording) -> None:
            if stored.note.id == stuck:
                raise StorageFailed("Could not delete a recording: permission denied.", reason="not_writable")
            super().delete(stored)

    cleaner = RecordingCleaner(
        Busy(shelf.store.root),
        settings=RecordingsConfig(max_age_days=7),
        in_use=lambda camera, recording: False,
        clock=SimulatedClock(NOW),
    )
    assert await cleaner.clean() == [old]
    assert [each.note.id for each in await shelf.store.all()] == [stuck]


@pytest.mark.parametrize("settings", [RecordingsConfig(max_count=1), RecordingsConfig(max_age_days=2)])
async def test_either_limit_alone_keeps_the_cleaner_at_work(shelf: Shelf, settings: RecordingsConfig) -> None:
    shelf.put("camera0", timedelta(days=3))
    kept = shelf.put("camera0", timedelta(days=1))
    cleaner = RecordingCleaner(
        shelf.store, settings=settings, in_use=lambda camera, recording: False, clock=SimulatedClock(NOW)
    )
    async with anyio.create_task_group() as tg:
        await tg.start(cleaner.run)
        with anyio.fail_after(20):
            while [each.note.id for each in await shelf.store.all()] != [kept]:
                await anyio.sleep(0.01)
        tg.cancel_scope.cancel()


async def test_without_a_limit_the_cleaner_ends_at_once(shelf: Shelf) -> None:
    cleaner = RecordingCleaner(
        shelf.store,
        settings=RecordingsConfig(),
        in_use=lambda camera, recording: False,
        clock=SimulatedClock(NOW),
    )
    with anyio.fail_after(20):
        await cleaner.run()

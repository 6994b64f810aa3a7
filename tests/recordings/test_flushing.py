"""Recordings under way reach their disk every few seconds, whatever disk it is."""

import os
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.recordings.active import Active
from agent_core.recordings.flushing import PAUSE_S, Flusher
from agent_core.recordings.growth import Growth
from agent_core.recordings.models import RecordingFormat, RecordingNote
from agent_core.testing.clock import SimulatedClock
from agent_core.testing.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, SECOND, THIRD = "1.mp4", "2.mp4", "3.mp4"


class Recorded:
    """Recordings with real files, and the names of what was flushed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = SimulatedClock()
        self.under_way: list[Active] = []
        self.synced: list[str] = []
        self.on_sync: Callable[[str], None] = lambda _: None
        self.flusher = Flusher(root, lambda: self.under_way, clock=self.clock, sync=self._sync)

    def _sync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self.on_sync(name)
        self.synced.append(name)

    def start(self, camera: str = "camera0", *, earlier: tuple[str, ...] = ()) -> Active:
        """Begin a recording; one that is resumed has earlier files."""
        note = RecordingNote(
            id=f"{camera}_2026-11-22_17-03-54Z",
            camera=camera,
            format=RecordingFormat.FMP4,
            started_at=datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC),
        )
        self.folder(note).mkdir(parents=True)
        for name in earlier:
            (self.folder(note) / name).write_bytes(b"media")
        growth = Growth(started_s=0.0, start_timeout_s=1.0, stall_s=1.0)
        active = Active(note, growth, noted_s=0.0, seen=earlier, flushed=earlier[-1:])
        self.under_way.append(active)
        return active

    def folder(self, note: RecordingNote) -> Path:
        return self.root / note.camera / note.id

    def write(self, active: Active, name: str) -> None:
        """Let a file appear."""
        (self.folder(active.note) / name).write_bytes(b"media")
        active.seen += (name,)

    async def flushed(self) -> list[str]:
        """Flush once; return what was flushed, without the folders' camera."""
        self.synced.clear()
        await self.flusher.flush()
        return list(self.synced)


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


async def test_the_open_file_is_flushed_again_and_again_and_a_closed_one_once(recorded: Recorded) -> None:
    active = recorded.start()
    recorded.write(active, FIRST)
    assert await recorded.flushed() == [FIRST, active.note.id]
    assert await recorded.flushed() == [FIRST]
    recorded.write(active, SECOND)
    recorded.write(active, THIRD)
    assert await recorded.flushed() == [FIRST, SECOND, THIRD, active.note.id]
    assert await recorded.flushed() == [THIRD]


async def test_files_of_an_earlier_run_are_not_flushed_again(recorded: Recorded) -> None:
    active = recorded.start(earlier=(FIRST, SECOND))
    assert await recorded.flushed() == [SECOND]
    recorded.write(active, THIRD)
    assert await recorded.flushed() == [SECOND, THIRD, active.note.id]


async def test_the_end_of_a_stopped_recording_is_flushed_once(recorded: Recorded) -> None:
    active = recorded.start()
    recorded.write(active, FIRST)
    await recorded.flushed()
    recorded.under_way.clear()
    assert await recorded.flushed() == [FIRST]
    assert await recorded.flushed() == []


async def test_it_runs_at_intervals_and_once_more_at_the_end(recorded: Recorded) -> None:
    active = recorded.start()
    recorded.write(active, FIRST)

    async def is_waiting_again(times: int) -> bool:
        return len(recorded.clock.sleeps) > times

    async with anyio.create_task_group() as tg:
        await tg.start(recorded.flusher.run)
        for times in (1, 2, 3):
            await recorded.clock.advance(PAUSE_S)
            await eventually(partial(is_waiting_again, times))
        recorded.under_way.clear()
        tg.cancel_scope.cancel()
    assert set(recorded.clock.sleeps) == {PAUSE_S}
    assert recorded.synced.count(FIRST) == 4


async def test_a_disk_that_hangs_holds_up_neither_the_loop_nor_the_end(recorded: Recorded) -> None:
    recorded.write(recorded.start(), FIRST)
    hangs, recovers = anyio.Event(), threading.Event()

    def hang(_: str) -> None:
        anyio.from_thread.run_sync(hangs.set)
        recovers.wait(20)

    recorded.on_sync = hang
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            await tg.start(recorded.flusher.run)
            await recorded.clock.advance(PAUSE_S)
            await hangs.wait()
            tg.cancel_scope.cancel()
    assert recorded.synced == []
    recovers.set()


async def test_a_recording_that_ended_before_a_cancelled_flush_is_flushed_by_the_next(
    recorded: Recorded,
) -> None:
    first, ended = recorded.start(), recorded.start("camera1")
    recorded.write(first, FIRST)
    recorded.write(ended, SECOND)
    await recorded.flushed()
    recorded.under_way.remove(ended)
    goes_on = threading.Event()
    with anyio.fail_after(20), anyio.CancelScope() as scope:

        def hang(_: str) -> None:
            anyio.from_thread.run_sync(scope.cancel)
            goes_on.wait(20)

        recorded.on_sync = hang
        await recorded.flushed()
    assert scope.cancelled_caught
    recorded.on_sync = lambda _: None
    goes_on.set()
    assert SECOND in await recorded.flushed()


async def test_a_disk_that_fails_is_said_once_until_it_works_again(
    recorded: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: str) -> None:
        raise OSError(5, "Input/output error")

    def said() -> int:
        count = sum("Input/output error" in each for each in caplog.messages)
        caplog.clear()
        return count

    first, second = recorded.start(), recorded.start("camera1")
    recorded.write(first, FIRST)
    recorded.write(second, FIRST)
    recorded.on_sync = fail
    await recorded.flushed()
    await recorded.flushed()
    assert said() == 2
    assert caplog.records == []
    recorded.on_sync = lambda _: None
    assert await recorded.flushed() == [FIRST, first.note.id, FIRST, second.note.id]
    recorded.on_sync = fail
    await recorded.flushed()
    assert said() == 2


async def test_what_is_deleted_meanwhile_or_leads_elsewhere_is_left_out(
    recorded: Recorded, tmp_path: Path
) -> None:
    active, gone = recorded.start(), recorded.start("camera1")
    folder = recorded.folder(active.note)
    recorded.write(active, FIRST)
    recorded.write(active, SECOND)
    recorded.folder(gone.note).rmdir()
    (folder / FIRST).unlink()
    assert await recorded.flushed() == [SECOND, active.note.id]
    (tmp_path / "elsewhere").write_bytes(b"other")
    (folder / SECOND).unlink()
    (folder / SECOND).symlink_to(tmp_path / "elsewhere")
    assert await recorded.flushed() == []

"""The watch over the disks: hanging, missing, without room for bytes or for files."""

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.events import Event, EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.base.room import Room
from agent_core.config import HealthConfig
from agent_core.health import Check, CheckStatus, HealthMonitor, SystemEvent
from agent_core.health.disks import PAUSE_S, DiskWatch, WatchedFolder
from agent_core.mediamtx.breaker import BreakerSettings, CircuitBreaker
from agent_core.mediamtx.link import ServerLink
from agent_core.testing.clock import SimulatedClock

LOW_BYTES = 1 << 20
RECORDINGS, SNAPSHOTS = Path("/recordings"), Path("/snapshots")


class Disks:
    """The room in each folder, and the fault of its place."""

    def __init__(self) -> None:
        self.room = dict.fromkeys((RECORDINGS, SNAPSHOTS), Room(1 << 30, 1 << 20))
        self.faults: dict[Path, StorageFailed] = {}
        self.clock = SimulatedClock()
        self.looks = 0
        self.bus = EventBus()
        self.health = HealthMonitor(
            ServerLink(None, breaker=CircuitBreaker(BreakerSettings()), clock=self.clock),
            components=list,
            is_live=lambda: False,
            settings=HealthConfig(),
            events=self.bus,
            clock=self.clock,
        )

    def folder(self, name: str, path: Path) -> WatchedFolder:
        def require() -> None:
            if fault := self.faults.get(path):
                raise fault

        return WatchedFolder(name, path, require)

    def come_by(self) -> None:
        self.looks += 1

    async def look(self) -> Check:
        """Return the result of the next look."""
        slept = len(self.clock.sleeps)
        await self.clock.advance(PAUSE_S)
        with anyio.fail_after(20):
            while len(self.clock.sleeps) == slept:
                await anyio.sleep(0.01)
        (check,) = self.health.report.checks
        return check


@asynccontextmanager
async def watched(
    disks: Disks, room: Callable[[Path], Room] | None = None, limit_s: float = 5.0
) -> AsyncIterator[DiskWatch]:
    watch = DiskWatch(
        (disks.folder("recordings", RECORDINGS), disks.folder("snapshots", SNAPSHOTS)),
        disks.health,
        low_space_bytes=LOW_BYTES,
        clock=disks.clock,
        room=room or (lambda _: disks.room[RECORDINGS]),
        limit_s=limit_s,
        forecast=lambda free_bytes: f"{free_bytes} bytes last for 2.0 hours.",
        beside=disks.come_by,
    )
    async with anyio.create_task_group() as tg:
        await tg.start(watch.run)
        with anyio.fail_after(20):
            while not disks.clock.sleeps:
                await anyio.sleep(0.01)
        yield watch
        tg.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("room", "status", "words"),
    [
        (Room(1 << 30, 1 << 20), CheckStatus.OK, "1024 MiB free."),
        (Room(1 << 30, None), CheckStatus.OK, "1024 MiB free."),
        (Room(LOW_BYTES, None), CheckStatus.OK, "1 MiB free."),
        (Room(LOW_BYTES - 1, 1 << 20), CheckStatus.WARNING, "0 MiB free."),
        (Room(1 << 30, 999), CheckStatus.WARNING, "999 inodes free"),
        (Room(1 << 30, 0), CheckStatus.FAILED, "no free inodes"),
    ],
)
async def test_a_disk_without_room_for_bytes_or_for_files_is_said(
    room: Room, status: CheckStatus, words: str
) -> None:
    disks, told = Disks(), list[object]()
    disks.room[RECORDINGS] = room

    def keep(event: Event) -> bool:
        told.append((event.topic, event.payload))
        return False

    with disks.bus.subscribe(keep):
        async with watched(disks):
            check = await disks.look()
    assert (check.name, check.status) == ("disk", status)
    assert words in check.detail
    assert (f"{room.free_bytes} bytes last for 2.0 hours." in check.detail) is (status is CheckStatus.WARNING)
    health = {CheckStatus.WARNING: "DEGRADED", CheckStatus.FAILED: "UNHEALTHY"}.get(status)
    expected = (
        SystemEvent("system.health", health, disks.health.report.components, check.detail) if health else None
    )
    assert told == ([("system.health", expected)] if health else []), "told once, if it is not healthy"


async def test_a_folder_that_cannot_be_read_fails_the_check() -> None:
    def forbidden(folder: Path) -> Room:
        raise PermissionError(folder)

    disks = Disks()
    async with watched(disks, forbidden):
        check = await disks.look()
    assert (check.status, check.detail) == (
        CheckStatus.FAILED,
        "The folder for recordings cannot be read.",
    )


@pytest.mark.parametrize("folder", [RECORDINGS, SNAPSHOTS])
async def test_each_folder_whose_disk_is_not_there_fails_the_check_until_it_is_back(folder: Path) -> None:
    disks = Disks()
    async with watched(disks):
        disks.faults[folder] = StorageFailed("It is not mounted.", reason="disk_missing")
        check = await disks.look()
        assert (check.status, check.detail) == (CheckStatus.FAILED, "It is not mounted.")
        del disks.faults[folder]
        assert (await disks.look()).status is CheckStatus.OK


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room(4095, 1 << 20), "The disk for snapshots is full."),
        (Room(1 << 30, 1 << 20, is_read_only=True), "The disk for snapshots is mounted read-only."),
        (Room(4096, 1 << 20), ""),
    ],
)
async def test_a_folder_that_the_agent_cannot_do_without_needs_room_on_a_writable_disk(
    room: Room, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    disks = Disks()
    watch = DiskWatch(
        (
            disks.folder("recordings", RECORDINGS),
            replace(disks.folder("snapshots", SNAPSHOTS), least_bytes=4096),
        ),
        disks.health,
        low_space_bytes=0,
        clock=disks.clock,
        room=lambda _: room,
    )
    async with anyio.create_task_group() as tg:
        await tg.start(watch.run)
        check = await disks.look()
        tg.cancel_scope.cancel()
    assert check.status is (CheckStatus.FAILED if words else CheckStatus.OK)
    assert words in check.detail
    # Also an agent that starts with the fault says so.
    assert [each.getMessage() for each in caplog.records] == ([f"disk: failed. {words}"] if words else [])


def test_a_fault_goes_unnoticed_for_less_than_ten_seconds() -> None:
    from agent_core.health.disks import LIMIT_S

    assert PAUSE_S + LIMIT_S < 10


async def test_a_disk_that_hangs_is_said_and_one_thread_stays_with_it() -> None:
    mended = threading.Event()
    asked: list[Path] = []

    def hang(folder: Path) -> Room:
        asked.append(folder)
        mended.wait()
        return Room(1 << 30, None)

    disks = Disks()
    try:
        async with watched(disks, hang, limit_s=0.05):
            for _ in range(5):
                check = await disks.look()
            assert len(asked) == 1
            assert (check.name, check.detail) == ("disk", "A disk for media does not answer.")
            mended.set()
            with anyio.fail_after(20):
                while (await disks.look()).status is not CheckStatus.OK:
                    pass
    finally:
        mended.set()


async def test_work_beside_the_looks_is_done_once_after_each_also_of_a_disk_that_hangs() -> None:
    mended, disks = threading.Event(), Disks()
    try:
        async with watched(disks, lambda _: Room(1 << 30 if mended.wait() else 0, None), limit_s=0.05):
            for _ in range(3):
                await disks.look()
            assert disks.looks == len(disks.clock.sleeps)
            mended.set()
    finally:
        mended.set()


async def test_the_room_on_a_disk_that_hangs_is_not_told_until_it_answers_again() -> None:
    """An old number would look as if the disk worked; a late answer is that of a look long ago."""
    working = threading.Event()
    working.set()
    registry, disks, room = MetricRegistry(), Disks(), Room(250, None, used_bytes=750)

    def answer(_folder: Path) -> Room:
        working.wait()
        return room

    def ratios() -> dict[object, object]:
        return {
            labels: value for each in registry.collect() for labels, value in each.series if value == 0.75
        }

    try:
        async with watched(disks, answer, limit_s=0.2) as watch:
            watch.add_metrics(registry)
            await disks.look()
            assert watch.rooms == {"recordings": room, "snapshots": room}
            assert ratios() == {("recordings",): 0.75, ("snapshots",): 0.75}
            working.clear()
            while (await disks.look()).status is not CheckStatus.FAILED:
                pass
            assert watch.rooms == {}
            assert ratios() == {}
            working.set()
            with anyio.fail_after(20):
                while (await disks.look()).status is not CheckStatus.WARNING:
                    pass
            assert ratios() == {("recordings",): 0.75, ("snapshots",): 0.75}
    finally:
        working.set()


def test_the_used_part_of_a_disk_is_that_of_df(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    used = status.f_blocks - status.f_bfree
    assert Room.of(tmp_path).used_ratio == pytest.approx(used / (used + status.f_bavail), abs=0.01)
    assert Room(0, None).used_ratio == 0
    assert Room(0, None, used_bytes=5).used_ratio == 1

"""The floor on free space, the forecast, and the room that clients are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import StorageFailed
from agent_core.base.events import Event, EventBus
from agent_core.base.models import CameraId
from agent_core.base.room import Room
from agent_core.config import HealthConfig
from agent_core.health import CheckStatus, HealthMonitor, SystemEvent
from agent_core.media.index import Totals
from agent_core.mediamtx.breaker import BreakerSettings, CircuitBreaker
from agent_core.mediamtx.link import ServerLink
from agent_core.recordings.models import RecordingFormat
from agent_core.recordings.space import floor_bytes, is_low
from agent_core.recordings.storage import PAUSE_S, Place, Storage, StorageSettings
from agent_core.recordings.store import RecordingStore
from agent_core.recordings.write_rate import WINDOW_S, WriteRate
from agent_core.testing.clock import SimulatedClock

MIB = 1 << 20
FLOOR, LOW = 100 * MIB, 500 * MIB
RECORDINGS, SNAPSHOTS = Path("/recordings"), Path("/snapshots")
HOUR_S = 3600


# Decisions.


@pytest.mark.parametrize(
    ("total_bytes", "configured", "floor"),
    [
        (200 * MIB, None, 10 * MIB),
        (1 << 40, None, 256 * MIB),
        (200 * MIB, 0, 0),
        (1 << 40, 50 << 30, 50 << 30),
    ],
)
def test_the_floor_suits_small_disks(total_bytes: int, configured: int | None, floor: int) -> None:
    assert floor_bytes(total_bytes, configured) == floor


def test_a_disk_at_its_floor_does_not_flicker() -> None:
    assert not is_low(FLOOR, FLOOR, was_low=False)
    assert is_low(FLOOR - 1, FLOOR, was_low=False)
    assert is_low(FLOOR + FLOOR // 20, FLOOR, was_low=True)
    assert not is_low(FLOOR + FLOOR // 5, FLOOR, was_low=True)
    assert not is_low(0, 0, was_low=False), "no floor"


def test_the_rate_is_that_of_all_recordings_under_way() -> None:
    rate = WriteRate()
    looks = [{"a": 1000}, {"a": 3000, "b": 0}, {"a": 5000, "b": 1000}, {"b": 2000}, {}]
    found = []
    for number, sizes in enumerate(looks):
        rate.saw(20.0 * number, sizes)
        found.append((rate.bytes_per_s, rate.hours_left(150 * HOUR_S * 3)))
    assert found == [(None, None), (100, 4.5), (150, 3), (50, 9), (None, None)]


def test_what_a_resumed_recording_has_already_is_no_rate() -> None:
    rate = WriteRate()
    for at in range(5):
        rate.saw(10.0 * at, {"a": 10**12})
    assert rate.bytes_per_s is None


def test_an_old_rate_is_forgotten_and_a_deleted_segment_is_none() -> None:
    rate = WriteRate()
    rate.saw(0, {"a": 0})
    for at in range(10, int(3 * WINDOW_S), 10):
        rate.saw(at, {"a": 10**9 + at})
    assert rate.bytes_per_s == 1
    rate.saw(1000, {"a": 5})
    assert rate.bytes_per_s is None


# The watch.


class Disk:
    """The disks of recordings and snapshots, and the recordings under way."""

    def __init__(self) -> None:
        self.free_bytes = 10 * LOW
        self.sizes: dict[str, int] = {}
        self.faults: dict[Path, StorageFailed] = {}
        self.totals: dict[Path, Totals | None] = {RECORDINGS: Totals(3, 30), SNAPSHOTS: Totals(2, 20)}
        self.deletable_bytes = 0
        self.cleanups = 0
        self.clock = SimulatedClock()
        self.bus = EventBus()
        self.told: list[SystemEvent] = []
        self.health = HealthMonitor(
            ServerLink(None, breaker=CircuitBreaker(BreakerSettings()), clock=self.clock),
            components=list,
            is_live=lambda: False,
            settings=HealthConfig(),
            events=self.bus,
            clock=self.clock,
        )
        self.storage = Storage(
            self.place(RECORDINGS),
            self.place(SNAPSHOTS),
            sizes=lambda: self.sizes,
            make_room=self.clean,
            health=self.health,
            settings=StorageSettings(FLOOR, LOW),
            rate=WriteRate(),
            clock=self.clock,
            room=lambda _: Room(self.free_bytes, None, 8 * LOW, 20 * LOW),
        )

    def place(self, root: Path) -> Place:
        def check() -> None:
            if fault := self.faults.get(root):
                raise fault

        async def totals() -> Totals | None:
            check()
            return self.totals.get(root)

        return Place(root, check, totals)

    async def clean(self) -> None:
        self.cleanups += 1
        self.free_bytes += self.deletable_bytes

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        def keep(event: Event) -> bool:
            assert isinstance(event.payload, SystemEvent)
            self.told.append(event.payload)
            return False

        with self.bus.subscribe(keep):
            async with anyio.create_task_group() as tasks:
                await tasks.start(self.storage.run)
                with anyio.fail_after(20):
                    while not self.clock.sleeps:
                        await anyio.sleep(0.01)
                yield
                tasks.cancel_scope.cancel()

    async def look(self, free_bytes: int) -> None:
        """Let the watch look once at so much free space."""
        self.free_bytes = free_bytes
        slept = len(self.clock.sleeps)
        await self.clock.advance(PAUSE_S)
        with anyio.fail_after(20):
            while len(self.clock.sleeps) == slept:
                await anyio.sleep(0.01)

    @property
    def check(self) -> tuple[CheckStatus, str]:
        (check,) = self.health.report.checks
        return check.status, check.detail


async def test_a_disk_below_its_floor_is_told_once_with_the_hours_left() -> None:
    disk = Disk()
    async with disk.watched():
        for step in range(10):  # 1 MiB per second
            disk.sizes = {"a": step * int(PAUSE_S) * MIB}
            await disk.look(2 * LOW)
        assert disk.told == []
        assert disk.check[0] is CheckStatus.OK
        for step in range(10, 15):
            disk.sizes = {"a": step * int(PAUSE_S) * MIB}
            await disk.look(90 * MIB - step)
        (told,) = disk.told
        assert (told.topic, told.status) == ("system.health", "DEGRADED")
        assert "Only 89 MiB free" in told.reason
        assert "the floor is 100 MiB: no recording starts." in told.reason
        assert "full in less than 0.1 hours." in told.reason
        await disk.look(FLOOR + 5 * MIB)
        assert len(disk.told) == 1, "too little above the floor"
        disk.sizes = {}
        await disk.look(5 * LOW)
        assert [each.status for each in disk.told] == ["DEGRADED", "HEALTHY"]
        assert "hours" not in disk.check[1]
        await disk.look(5 * LOW)
        await disk.look(FLOOR - 1)
        assert len(disk.told) == 3, "each crossing is told"


async def test_the_hours_left_are_told_afterwards_if_they_were_not_known() -> None:
    disk = Disk()
    async with disk.watched():
        for step in range(5):  # the recording begins on a disk that is low already
            disk.sizes = {"a": step * int(PAUSE_S) * MIB}
            await disk.look(FLOOR - 1)
    first, second = (each.reason for each in disk.told)
    assert "hours" not in first
    assert "full in less than 0.1 hours." in second


async def test_a_disk_that_cannot_be_read_ends_nothing() -> None:
    """`Path.exists` passes on errors of dead disks, such as EIO; a name that is too long is another such error."""
    disk = Disk()
    storage = Storage(
        disk.place(Path("/" + "x" * 300)),
        disk.place(SNAPSHOTS),
        sizes=dict,
        make_room=disk.clean,
        health=disk.health,
        settings=StorageSettings(FLOOR, LOW),
        rate=WriteRate(),
        clock=disk.clock,
    )
    with pytest.raises(StorageFailed) as caught:
        await storage.info()
    assert caught.value.details.startswith("Could not read the free space")
    await storage.make_room()


async def test_retention_that_makes_room_keeps_the_floor_from_being_told() -> None:
    disk = Disk()
    disk.deletable_bytes = 2 * LOW
    async with disk.watched():
        await disk.look(FLOOR - 1)
    assert (disk.cleanups, disk.told, disk.check[0]) == (1, [], CheckStatus.OK)


async def test_retention_runs_before_a_recording_is_refused_and_only_then() -> None:
    disk = Disk()
    await disk.storage.make_room()
    assert disk.cleanups == 0
    disk.free_bytes = FLOOR - 1
    await disk.storage.make_room()
    assert disk.cleanups == 1


async def test_a_disk_that_vanishes_is_left_to_the_check_of_the_disks() -> None:
    disk = Disk()
    async with disk.watched():
        disk.faults[RECORDINGS] = StorageFailed("It is not mounted.", reason="disk_missing")
        await disk.look(0)  # the room of the empty mount point
        assert (disk.told, disk.cleanups, disk.check[0]) == ([], 0, CheckStatus.OK)
        assert disk.check[1] == "The room for recordings is not known: It is not mounted."
        await disk.storage.make_room()
        with pytest.raises(StorageFailed) as caught:
            await disk.storage.info()
    assert caught.value.reason == "disk_missing"


async def test_the_room_and_the_totals() -> None:
    disk = Disk()
    info = await disk.storage.info()
    assert info.room == Room(10 * LOW, None, 8 * LOW, 20 * LOW)
    assert (info.recordings_bytes, info.snapshots_bytes) == (30, 20)
    assert (info.is_low, info.hours_left) == (False, None)
    disk.free_bytes = LOW - 1
    disk.faults[SNAPSHOTS] = StorageFailed("It is not mounted.", reason="disk_missing")
    disk.totals[RECORDINGS] = None  # the index is being made
    info = await disk.storage.info()
    assert (info.recordings_bytes, info.snapshots_bytes, info.is_low) == (None, None, True)


def test_the_store_refuses_below_the_floor_and_leaves_no_files(tmp_path: Path) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    store = RecordingStore(tmp_path / "recordings", min_free_bytes=1 << 60)
    with pytest.raises(StorageFailed) as caught:
        store.create(CameraId("camera0"), RecordingFormat.FMP4, at)
    assert caught.value.reason == "low_space"
    assert "storage.min_free_bytes" in caught.value.suggestion
    assert not list((tmp_path / "recordings" / "camera0").iterdir())
    RecordingStore(tmp_path / "recordings", min_free_bytes=0).create(
        CameraId("camera0"), RecordingFormat.FMP4, at
    )

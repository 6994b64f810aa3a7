"""Stores of recordings and snapshots under retention, with their clocks and what it tells."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from agent_core.base.events import EventBus
from agent_core.base.host_times import HostTimes
from agent_core.base.locks import KeyedLock
from agent_core.base.models import CameraId
from agent_core.media.downloads import DirectoryFiles, Downloads
from agent_core.media.index import CameraTotals
from agent_core.media.retention import Freed, Limits, MediaCleaner, PolicyFile, RetentionPolicy, StoredMedia
from agent_core.media.retention.policy import POLICY_FILE
from agent_core.media.retention.views import FolderView
from agent_core.recordings.active import Active
from agent_core.recordings.clock_trust import CLOCK_FILE, ClockTrust
from agent_core.recordings.growth import Growth
from agent_core.recordings.models import Cleanup, RecordingFormat, RecordingNote
from agent_core.recordings.retention import RETRY_S, Retention, Told
from agent_core.recordings.stock import RecordingStock
from agent_core.recordings.store import RecordingStore
from agent_core.snapshots.stock import SnapshotStock
from agent_core.snapshots.store import SnapshotStore
from agent_core.testing import SimulatedClock
from tests.media.indexed import Library

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Host:
    """A host's clocks; `set_back` and `boot` do what the names say."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.clock = clock
        self.boot_id, self._booted_s = "first", 0.0

    def times(self) -> HostTimes:
        passed_s = self.clock.monotonic_s()
        return HostTimes(self.boot_id, passed_s, passed_s - self._booted_s, self.clock.now())

    def boot(self, *, off_s: float) -> None:
        self.clock.jump(off_s)
        self.boot_id, self._booted_s = f"after {self.boot_id}", self.clock.monotonic_s()


class UnderWay:
    """The recordings that a manager would run."""

    def __init__(self) -> None:
        self.locks = KeyedLock()
        self.notes: dict[str, RecordingNote] = {}

    @property
    def under_way(self) -> tuple[Active, ...]:
        return tuple(_active(each) for each in self.notes.values())

    def active(self, camera: CameraId) -> Active | None:
        return _active(self.notes[camera]) if camera in self.notes else None


def _active(note: RecordingNote) -> Active:
    return Active(note, Growth(started_s=0, start_timeout_s=1, stall_s=1), noted_s=0)


class Kept:
    """Recordings and snapshots in `folder`, and retention with the given limits."""

    def __init__(self, library: Library, **limits: Limits) -> None:
        self.library = library
        self.recordings, self.snapshots = library.recordings, library.snapshots
        self.limits: Mapping[str, Limits] = {"recordings": Limits(), "snapshots": Limits(), **limits}
        self.clock = SimulatedClock(NOW)
        self.host = Host(self.clock)
        self.bus = EventBus(self.clock)
        self.told: list[str] = []
        self.told_of_policy: list[str] = []
        self.told_of_failures: list[str] = []
        self.under_way = UnderWay()
        self.downloads = Downloads(
            {"snapshots": DirectoryFiles(self.snapshots.root), "recordings": self.recordings}
        )
        self.cleaner = MediaCleaner(
            (
                RecordingStock(
                    self.recordings,
                    self.under_way,
                    lambda name: self.downloads.is_running("recordings", name),
                ),
                SnapshotStock(self.snapshots, lambda name: self.downloads.is_running("snapshots", name)),
            )
        )
        self.retention = self.restarted()

    def restarted(self) -> Retention:
        self.retention = Retention(
            self.cleaner,
            configured=self.limits,
            file=PolicyFile(self.library.folder / POLICY_FILE),
            trust=ClockTrust(self.library.folder / CLOCK_FILE, times=self.host.times),
            newest=self._newest,
            events=self.bus,
            told=Told(self.told.append, self.told_of_policy.append, self.told_of_failures.append),
            clock=self.clock,
        )
        return self.retention

    async def _newest(self) -> list[RecordingNote]:
        page = await self.recordings.page(None, offset=0, limit=100)
        return [each.stored.note for each in page.items]

    def record(
        self,
        camera: str,
        age: timedelta,
        *,
        ended: bool = True,
        size_bytes: int = 5,
        length: timedelta = timedelta(),
    ) -> str:
        """Make a recording that began `age` ago, with one segment."""
        note = self.recordings.create(CameraId(camera), RecordingFormat.FMP4, NOW - age)
        segment = self.recordings.folder(note) / "2026-11-22_00-00-00-000000.mp4"
        segment.write_bytes(b"m" * size_bytes)
        if ended:
            self.recordings.save(note.model_copy(update={"ended_at": NOW - age + length}))
        else:
            self.recordings.save(note)
        return note.id

    def shoot(self, camera: str, age: timedelta, *, size_bytes: int = 5) -> str:
        """Write a snapshot as the agent names it, taken `age` ago."""
        at = NOW - age
        folder = self.snapshots.root / camera
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{camera}_{at:%Y-%m-%d_%H-%M-%S}-{at.microsecond // 1000:03d}Z.jpg"
        file.write_bytes(b"s" * size_bytes)
        os.utime(file, (at.timestamp(), at.timestamp()))
        if self.snapshots.media.indexed is not None:
            self.snapshots.media.indexed.tell(CameraId(camera), file.name)
        return f"{camera}/{file.name}"

    async def clean(self) -> int:
        """Apply the limits once, as the schedule does; return the number of deleted files."""
        return (await self.clean_all()).files

    async def clean_all(self) -> Freed:
        await self.settled()
        return (await self.cleanup()).cleaned.freed

    async def cleanup(self) -> Cleanup:
        """Apply the limits as for an administrator who asks for it."""
        async with self.retried():
            return await self.retention.cleanup()

    @asynccontextmanager
    async def retried(self) -> AsyncIterator[None]:
        """Let the time pass that retention waits for an index which is unsettled again, as on a loaded machine."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_retries)
            yield
            tasks.cancel_scope.cancel()

    async def _pass_retries(self) -> None:
        seen = len(self.clock.sleeps)
        while True:
            await anyio.sleep(0.05)
            if self.clock.sleeps[seen:]:
                seen = len(self.clock.sleeps)
                if self.clock.sleeps[-1] == RETRY_S:
                    await self.clock.advance(RETRY_S)

    async def settled(self) -> None:
        """Wait until the index, if there is one, knows the files."""
        for store in (self.recordings, self.snapshots):
            indexed = store.media.indexed
            with anyio.fail_after(20):
                while indexed is not None and await indexed.camera_totals() != await _on_disk(store.media):
                    await anyio.sleep(0.01)

    async def policy(self, kind: str, **limits: float) -> None:
        await self.retention.set_policy(
            RetentionPolicy.model_validate({"policy_type": kind, "enabled": True, **limits})
        )

    async def recorded(self) -> set[str]:
        return {each.note.id for each in await self.recordings.all()}

    async def shot(self) -> set[str]:
        return {each.name for each in await self.snapshots.all()}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run retention; when this begins, the first cleanup is done, however often it waited for the index."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.retention.run)
            with anyio.fail_after(20):
                while self.clock.sleeps[-1:] in ([], [RETRY_S]):
                    await self.clock.advance(RETRY_S if self.clock.sleeps else 0)
                    await anyio.sleep(0.01)
            yield
            tasks.cancel_scope.cancel()


def unindexed(folder: Path) -> Library:
    """Return stores that read the folders."""
    stores = SnapshotStore(folder / "snapshots"), RecordingStore(folder / "recordings")
    return Library(folder, Library.at(folder).index, *stores)


async def _on_disk(media: StoredMedia) -> Mapping[CameraId, CameraTotals]:
    return await FolderView.read(media.shelf).camera_totals()

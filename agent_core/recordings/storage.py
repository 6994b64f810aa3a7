"""Storage of media: its room and its totals for clients, the floor on free space, and how long the room lasts."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.base.room import Room, nearest_folder
from agent_core.base.workers import WorkerPool
from agent_core.health import CheckStatus, HealthMonitor
from agent_core.media.index import Totals
from agent_core.recordings.models import StorageInfo
from agent_core.recordings.space import floor_bytes, is_low, room_of
from agent_core.recordings.write_rate import WriteRate

__all__ = ("Place", "Storage", "StorageSettings")

_log = logging.getLogger("camera_agent.storage")

CHECK = "storage"
#: Pause between two looks at the room and at the sizes of recordings under way.
PAUSE_S = 5.0
#: Longest wait for a disk, for the first totals of the index, and for retention to make room.
LIMIT_S, COUNT_S, MAKE_ROOM_S = 5.0, 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Folder of one kind of media.

    Args:
        root: the folder.
        check: raises StorageFailed while its disk is not there; blocks on the disk.
        totals: returns the number and bytes of its files; None while they are counted.
    """

    root: Path
    check: Callable[[], None]
    totals: Callable[[], Awaitable[Totals | None]]


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Limits on free bytes: the floor (None: the default) and that of the warning."""

    min_free_bytes: int | None
    low_space_bytes: int


class Storage:
    """Watches the room for recordings, and answers questions about it.

    Below the floor, retention is applied; if that does not help, the check `storage` warns and an event tells it once,
    and again as soon as the hours left are known if they were not. The store refuses new recordings meanwhile. Those under way go on: nothing else would start them again.

    Args:
        recordings, snapshots: the folders.
        sizes: returns the bytes of the recordings under way by id; from memory.
        make_room: applies retention.
        rate: the rate of the recordings under way; this object measures it.
    """

    def __init__(
        self,
        recordings: Place,
        snapshots: Place,
        *,
        sizes: Callable[[], Mapping[str, int]],
        make_room: Callable[[], Awaitable[None]],
        health: HealthMonitor,
        settings: StorageSettings,
        rate: WriteRate,
        clock: Clock,
        room: Callable[[Path], Room] = room_of,
    ) -> None:
        self._recordings = recordings
        self._snapshots = snapshots
        self._sizes = sizes
        self._make_room = make_room
        self._health = health
        self._settings = settings
        self._clock = clock
        self._room = room
        self._thread = WorkerPool(2)
        self._rate = rate
        self._was_low = False
        #: Clients were told of the floor before a rate was known.
        self._owes_hours = False

    def configure(self, settings: StorageSettings) -> None:
        """Apply other limits from the next look on."""
        self._settings = settings

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look until cancelled."""
        task_status.started()
        while True:
            self._rate.saw(self._clock.monotonic_s(), self._sizes())
            try:
                await self._look()
            except StorageFailed as error:  # the check `disk` tells it
                self._note(f"The room for recordings is not known: {error.details}")
            await self._clock.sleep(PAUSE_S)

    async def _look(self) -> None:
        room = await self._room_in(self._recordings)
        if self._is_low(room) and not self._was_low:
            await self.make_room()
            room = await self._room_in(self._recordings)
        was_low, self._was_low = self._was_low, self._is_low(room)
        detail = self._detail(room)
        is_known = self._rate.bytes_per_s is not None
        if self._was_low is not was_low or (self._owes_hours and is_known):
            self._owes_hours = self._was_low and not is_known
            self._health.change(CHECK, self._status, detail)
        else:
            self._note(detail)

    @property
    def _status(self) -> CheckStatus:
        return CheckStatus.WARNING if self._was_low else CheckStatus.OK

    def _note(self, detail: str) -> None:
        self._health.note(CHECK, self._status, detail)

    def _floor(self, room: Room) -> int:
        return floor_bytes(room.total_bytes, self._settings.min_free_bytes)

    def _is_low(self, room: Room) -> bool:
        return is_low(room.free_bytes, self._floor(room), was_low=self._was_low)

    def _detail(self, room: Room) -> str:
        free = f"{room.free_bytes >> 20} MiB free on the disk for recordings"
        said = [f"{free}."]
        if self._was_low:
            said = [f"Only {free}, and the floor is {self._floor(room) >> 20} MiB: no recording starts."]
        return " ".join((*said, self._rate.forecast(room.free_bytes))).rstrip()

    async def _room_in(self, place: Place) -> Room:
        def look() -> Room:
            place.check()  # the empty mount point shows the room of another disk
            try:
                return self._room(nearest_folder(place.root))
            except OSError as error:  # a dead disk, or a server of network folders that is gone
                raise explain_os_error(error, "read the free space of a disk for media") from error

        try:
            with anyio.fail_after(LIMIT_S):
                return await self._thread.run_abandonable(look)
        except TimeoutError:
            raise StorageFailed(
                "A disk for media does not answer.",
                reason="timed_out",
                suggestion="Check the disk and its cable; `dmesg` shows its errors.",
            ) from None

    async def make_room(self) -> None:
        """Apply retention if the disk for recordings is below its floor; wait only for some seconds."""
        try:
            if self._is_low(await self._room_in(self._recordings)):
                with anyio.move_on_after(MAKE_ROOM_S):
                    await self._make_room()
        except StorageFailed as error:  # the next user of the disk is told
            _log.debug("%s", error.details)

    async def info(self) -> StorageInfo:
        """Return the room and the totals.

        Raises:
            StorageFailed: the disk for recordings is not there, or does not answer.
        """
        room = await self._room_in(self._recordings)
        try:
            other: Room | None = await self._room_in(self._snapshots)
        except StorageFailed:
            other = None
        rooms = [each for each in (room, other) if each is not None]
        return StorageInfo(
            room=room,
            recordings_bytes=await self._total(self._recordings),
            snapshots_bytes=await self._total(self._snapshots) if other else None,
            is_low=any(each.free_bytes < self._settings.low_space_bytes for each in rooms),
            hours_left=self._rate.hours_left(room.free_bytes),
        )

    async def _total(self, place: Place) -> int | None:
        """Return the bytes of all files; None if the index needs longer to count them, or their disk is not there."""
        with anyio.move_on_after(COUNT_S):
            while True:
                try:
                    totals = await place.totals()
                except StorageFailed:
                    return None
                if totals is not None:
                    return totals.size_bytes
                await anyio.sleep(0.05)
        return None

"""Watch over the disks of the agent's folders: they are there, can be written and have room."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import StorageFailed
from agent_core.base.metrics import MetricRegistry
from agent_core.base.room import LOW_INODES, Room, nearest_folder
from agent_core.base.workers import WorkerPool
from agent_core.health.models import CheckStatus
from agent_core.health.monitor import HealthMonitor

__all__ = ("DiskWatch", "WatchedFolder")

CHECK = "disk"
#: Pause between two looks. With the limit of a look it leaves a fault unnoticed for ten seconds at most.
PAUSE_S = 4.0
#: A sleeping disk needs some seconds to answer.
LIMIT_S = 5.0

_Finding = tuple[CheckStatus, str]


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """Folder whose disk is watched.

    Args:
        name: what is stored in it, for messages.
        path: the folder; it need not exist yet.
        require: checks, and prepares if needed, the place of the folder. Blocks on the disk; raises StorageFailed.
        least_bytes: free space without which the agent cannot work; less of it, or a disk that is mounted read-only, is a
            failure. Default: `require` alone judges that.
    """

    name: str
    path: Path
    require: Callable[[], None]
    least_bytes: int = 0


class DiskWatch:
    """Looks at the disks of some folders at intervals, and gives the health monitor the worst that it finds.

    Args:
        folders: the folders; the first one, with the recordings, needs much room, and its room is shown.
        low_space_bytes: less free space than this in the first folder is a warning.
        room: returns the room on a folder's disk; blocks, and may raise OSError.
        limit_s: longest time of a look.
        forecast: returns a sentence that tells how long so many free bytes of the first folder last; empty if unknown.
        beside: called after each look, for work that should not wake an idle processor by itself.
    """

    def __init__(
        self,
        folders: Sequence[WatchedFolder],
        health: HealthMonitor,
        *,
        low_space_bytes: int,
        clock: Clock,
        room: Callable[[Path], Room] = Room.of,
        limit_s: float = LIMIT_S,
        forecast: Callable[[int], str] = lambda _: "",
        beside: Callable[[], None] = lambda: None,
    ) -> None:
        self._folders = folders
        self._health = health
        self._low_space_bytes = low_space_bytes
        self._clock = clock
        self._room = room
        self._limit_s = limit_s
        self._forecast = forecast
        self._beside = beside
        self._thread = WorkerPool(1)
        self._rooms: dict[str, Room] = {}

    @property
    def rooms(self) -> Mapping[str, Room]:
        """Room for each kind of files, as the last look found it; a disk that did not answer then is left out."""
        return self._rooms

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the room on the disks."""
        registry.gauge(
            "camera_agent_disk_used_ratio",
            "Used part of the disk of a kind of files, 0 to 1.",
            lambda: {(name,): room.used_ratio for name, room in self._rooms.items()},
            labels=("files",),
        )
        registry.gauge(
            "camera_agent_disk_free_bytes",
            "Free bytes on the disk of a kind of files.",
            lambda: {(name,): room.free_bytes for name, room in self._rooms.items()},
            labels=("files",),
        )

    def configure(self, *, low_space_bytes: int) -> None:
        """Apply another limit from the next look on."""
        self._low_space_bytes = low_space_bytes

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Look until cancelled."""
        task_status.started()
        while True:
            status, detail = await self._look()
            self._beside()
            self._health.note(CHECK, status, detail)
            self._health.announce()
            await self._clock.sleep(PAUSE_S)

    async def _look(self) -> _Finding:
        rooms: dict[str, Room] = {}
        try:
            with anyio.fail_after(self._limit_s):
                finding = await self._thread.run_abandonable(self._worst, rooms)
        except TimeoutError:
            self._rooms = {}
            return CheckStatus.FAILED, "A disk for media does not answer."
        self._rooms = rooms
        return self._with_forecast(finding, rooms)

    def _with_forecast(self, finding: _Finding, rooms: Mapping[str, Room]) -> _Finding:
        """Return the finding, with the time left if it is a warning: only the first folder gives warnings."""
        status, detail = finding
        if status is not CheckStatus.WARNING:
            return finding
        return status, f"{detail} {self._forecast(rooms[self._folders[0].name].free_bytes)}".rstrip()

    def _worst(self, rooms: dict[str, Room]) -> _Finding:
        first, *others = [self._look_at(each, rooms) for each in self._folders]
        failed = (each for each in (first, *others) if each[0] is CheckStatus.FAILED)
        return next(failed, first)

    def _look_at(self, folder: WatchedFolder, rooms: dict[str, Room]) -> _Finding:
        try:
            folder.require()
            room = rooms[folder.name] = self._room(nearest_folder(folder.path))
        except StorageFailed as error:
            return CheckStatus.FAILED, error.details
        except OSError:
            return CheckStatus.FAILED, f"The folder for {folder.name} cannot be read."
        if folder.least_bytes and room.is_read_only:
            return CheckStatus.FAILED, f"The disk for {folder.name} is mounted read-only."
        if room.free_bytes < folder.least_bytes:
            return CheckStatus.FAILED, f"The disk for {folder.name} is full."
        if room.free_inodes == 0:
            return CheckStatus.FAILED, f"The disk for {folder.name} has no free inodes: no file can be made."
        return self._finding(room)

    def _finding(self, room: Room) -> _Finding:
        free = f"{room.free_bytes >> 20} MiB free."
        if room.free_bytes < self._low_space_bytes:
            return CheckStatus.WARNING, free
        if room.free_inodes is not None and room.free_inodes < LOW_INODES:
            return CheckStatus.WARNING, f"{free} Only {room.free_inodes} inodes free, one for each new file."
        return CheckStatus.OK, free

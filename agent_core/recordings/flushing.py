"""Flushing of recordings under way, so that a power cut costs only their last seconds."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.beneath import folder_beneath
from agent_core.base.clock import Clock
from agent_core.base.workers import WorkerPool
from agent_core.recordings.active import Active

__all__ = ("PAUSE_S", "Flusher")

_log = logging.getLogger("camera_agent.recordings")

#: Pause between two flushes: with the length of a fragment, the most that a power cut loses on a disk that keeps up.
PAUSE_S = 5.0
_END_LIMIT_S = 1.0
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Flusher:
    """Writes the files of recordings under way from the kernel's memory to their disk every few seconds.

    Media servers leave that to the kernel, which takes half a minute, and longer on a busy disk. It needs no help from
    them: flushing a descriptor of one's own writes what other processes have written to the same file.

    Args:
        root: the folder of recordings.
        under_way: returns the recordings.
        clock: for the pauses.
        sync: writes an open file or folder to its disk; blocks, and raises OSError.
    """

    def __init__(
        self,
        root: Path,
        under_way: Callable[[], Iterable[Active]],
        *,
        clock: Clock,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._root = root
        self._under_way = under_way
        self._clock = clock
        self._sync = sync
        # Its own, because a slow disk takes seconds, for which the looks at the files must not wait.
        self._thread = WorkerPool(1)
        #: Recordings of the last flush by id, and the ids of those whose flush failed.
        self._last: dict[str, Active] = {}
        self._failing: set[str] = set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Flush until cancelled, and then once more, for a second at most: the recordings must have ended before."""
        task_status.started()
        try:
            while True:
                await self._clock.sleep(PAUSE_S)
                await self.flush()
        finally:
            with anyio.move_on_after(_END_LIMIT_S, shield=True):
                await self.flush()

    async def flush(self) -> None:
        """Flush the files that have changed since the last flush, also of recordings that have ended since.

        A cancelled call returns at once, even if the disk hangs.
        """
        under_way = {each.note.id: each for each in self._under_way()}
        for active in (self._last | under_way).values():
            await self._flush_one(active)
        self._last = under_way  # only now: a cancelled flush has left some out
        self._failing &= under_way.keys()

    async def _flush_one(self, active: Active) -> None:
        names, newest = active.unflushed, active.seen[-1:]
        where = (active.note.camera, active.note.id)
        try:
            await self._thread.run_abandonable(self._flush, where, names, newest != active.flushed)
        except OSError as error:
            self._failed(active, error)
        else:
            active.flushed = newest
            self._failing.discard(active.note.id)

    def _flush(self, where: tuple[str, str], names: Sequence[str], has_new: bool) -> None:  # noqa: FBT001
        with suppress(FileNotFoundError), folder_beneath(self._root, where) as folder:
            for name in names:
                with suppress(FileNotFoundError):
                    self._flush_file(name, folder)
            if has_new:
                self._sync(folder)

    def _flush_file(self, name: str, folder: int) -> None:
        file = os.open(name, _FILE, dir_fd=folder)
        try:
            self._sync(file)
        finally:
            os.close(file)

    def _failed(self, active: Active, error: OSError) -> None:
        if active.note.id in self._failing:
            return
        self._failing.add(active.note.id)
        fields = {"camera": active.note.camera, "recording": active.note.id}
        _log.warning(
            "cannot write a recording through to its disk, so a power cut may lose more than its last seconds: %s",
            error.strerror,
            extra={"fields": fields},
        )

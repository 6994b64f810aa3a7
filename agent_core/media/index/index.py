"""The index of all stored media: opens its file, runs its shelves, and begins anew after a failure."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import StorageFailed
from agent_core.base.inotify import FolderWatches, Noticed
from agent_core.base.mounts import is_local
from agent_core.base.workers import WorkerPool
from agent_core.media.index.database import IndexDatabase
from agent_core.media.index.entries import Shelf
from agent_core.media.index.shelves import IndexedShelf

if TYPE_CHECKING:
    from agent_core.base.models import CameraId

__all__ = ("MediaIndex",)

_log = logging.getLogger("camera_agent.storage")

#: Pause before the index is opened again after a failure, such as that of a full disk.
RETRY_S = 60.0
#: Notices of this time are taken over together.
GATHER_S = 0.25
#: Failures of a disk, which need no stack in the log.
_FORESEEN = (sqlite3.Error, OSError, StorageFailed)


class MediaIndex:
    """Index in the file at `path`, which only this process uses: the lock of its folder guards it.

    While it is not open, or was not yet compared with the folders, its shelves give no pages.

    Args:
        path: the file; removed and made anew if it cannot be used.
        clock: for pauses.
        require: raises StorageFailed while nothing may be written beside the file.
        is_local: returns True for a folder that no other machine changes; others are compared at intervals only.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        require: Callable[[], None] = lambda: None,
        is_local: Callable[[Path], bool] = is_local,
    ) -> None:
        self._path = path
        self._require = require
        self._is_local = is_local
        self._clock = clock
        self.thread = WorkerPool(1)
        self.database: IndexDatabase | None = None
        self.watches: FolderWatches | None = None
        self._shelves: list[IndexedShelf] = []
        self._has_told = False
        #: False after a failure, until the index is open again, and after the end.
        self.is_working = True
        #: Called with the kind, the camera and the names of files that turned out to be gone.
        self.tell_gone: Callable[[str, CameraId, Sequence[str]], None] = lambda _kind, _camera, _files: None

    @property
    def is_settled(self) -> bool:
        """True while lists come from the index, and not from the folders."""
        return self.database is not None and all(each.is_settled for each in self._shelves)

    def add(self, shelf: Shelf, disk: WorkerPool) -> IndexedShelf:
        """Add a kind of media before `run`; `disk` is the thread for its disk."""
        self._shelves.append(IndexedShelf(shelf, self, disk, self._clock))
        return self._shelves[-1]

    async def open_files(self, kind: str) -> "list[tuple[CameraId, str]] | None":
        """Return camera and file of each entry that may change unnoticed; None if there is no index.

        Waits until the folders are in the index, for as long as it works.
        """
        shelf = next(each for each in self._shelves if each.kind == kind)
        try:
            return await shelf.open_files()
        except sqlite3.Error:
            return None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the index right until cancelled, then close it. Starts at once; everything slow happens afterwards."""
        task_status.started()
        while True:
            try:
                await self._serve()
            except* Exception as errors:  # noqa: BLE001 - the index is a cache: its faults must not end the agent
                self._tell(errors)
            await self._clock.sleep(RETRY_S)

    def _tell(self, errors: BaseExceptionGroup[BaseException]) -> None:
        if not self._has_told:
            self._has_told = True
            _log.warning(
                "the index of stored media cannot be used, so lists are read from the folders: %s",
                "; ".join(str(each) or type(each).__name__ for each in errors.exceptions),
                exc_info=None if errors.split(_FORESEEN)[1] is None else errors,
            )

    async def _serve(self) -> None:
        is_whole = False
        try:
            await self.thread.run(self._open)
            self.is_working = True
            for shelf in self._shelves:
                shelf.forget()
            async with anyio.create_task_group() as tasks:
                for shelf in self._shelves:
                    tasks.start_soon(shelf.run)
                if self.watches is not None:
                    tasks.start_soon(self._listen, self.watches)
        except anyio.get_cancelled_exc_class():
            is_whole = True
            raise
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    await self.collect()
                finally:
                    await self.thread.run(self._close, is_whole)
                    self.is_working = False
                    for shelf in self._shelves:
                        shelf.forget()

    def _open(self) -> None:
        self._require()
        self.database = IndexDatabase(self._path)
        try:
            self.watches = FolderWatches(self._is_local)
        except OSError as error:
            _log.warning("folders are not watched, and only compared at intervals: %s", error)

    def _close(self, is_whole: bool) -> None:  # noqa: FBT001 - for run
        database, self.database = self.database, None
        if database is not None:
            try:
                for shelf in self._shelves:
                    shelf.leave(database)
                if is_whole:
                    database.close()
            except sqlite3.Error as error:
                _log.debug("the index is made anew at the next start: %s", error)
            finally:
                database.abandon()
        watches, self.watches = self.watches, None
        if watches is not None:
            watches.close()

    async def _listen(self, watches: FolderWatches) -> None:
        """Take over what inotify notices, soon after it."""
        while True:
            await anyio.wait_readable(watches.fd)
            await self._clock.sleep(GATHER_S)
            for shelf in self._shelves:
                try:
                    await shelf.refresh()
                except StorageFailed as error:
                    _log.debug("the index waits: %s", error)

    async def collect(self) -> None:
        """Hand what inotify has noticed to all shelves; what was read is never lost to a cancellation."""
        with anyio.CancelScope(shield=True):
            noticed = await self.thread.run(self._read)
            for shelf in self._shelves:
                shelf.notice(noticed)

    def _read(self) -> Noticed:
        return Noticed({}, set(), overflowed=False) if self.watches is None else self.watches.read()

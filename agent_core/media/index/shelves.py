"""One kind of media in the index: its lists, and what keeps them right.

The agent tells what it writes and deletes, and inotify notices what other programs do: these files are looked at
before the next list. Times of folders, compared at intervals, show what happened while the agent did not run or
inotify saw nothing; a child process then scans the folder.
"""

import logging
from collections.abc import Sequence
from functools import partial
from itertools import islice

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.base.inotify import Noticed
from agent_core.base.models import CameraId
from agent_core.base.waiting import GrowingPauses, sleep_unless
from agent_core.base.workers import WorkerPool
from agent_core.media.index.database import IndexDatabase, SweptEntry
from agent_core.media.index.entries import CameraTotals, IndexEntry, OldEntry, Shelf, Totals, looked
from agent_core.media.index.folders import changed_ns, find_folders, is_large
from agent_core.media.index.notices import Notices, WatchedFolders
from agent_core.media.index.parts import IndexParts
from agent_core.media.index.scan import ScanFailed, scan
from agent_core.media.index.sweep import SLICE, Round, stale

__all__ = ("Found", "IndexedShelf")

_log = logging.getLogger("camera_agent.storage")

#: Time for one look at all folders and files of a shelf: what inotify cannot see is in the index after it, within 60 s.
ROUND_S = 40.0
#: Pauses between attempts while the disk is not there, or scans fail.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, ROUND_S
#: Pause before folders that changed again while they were compared are compared once more.
SETTLE_S = 0.25
#: Longest wait for the index of a large folder before the folder is read all the same.
WAIT_S = 60.0
#: Changed files that are looked at in one go.
_LOOKS = 250
#: Largest number of files in a folder that this process scans itself: less work than to start another.
_FEW = 1000
#: Page of an indexed list: camera and file of each entry, newest first, and the number of all.
Found = tuple[tuple[tuple[CameraId, str], ...], int]


class IndexedShelf:
    """A shelf and its part of the index. `run` keeps it right; made by `MediaIndex.add`.

    Args:
        shelf: the media on disk.
        parts: the index; its database may vanish and come back.
        disk: thread for the shelf's disk, so that a hanging disk delays only its own media.
        clock: for pauses.
    """

    def __init__(self, shelf: Shelf, parts: IndexParts, disk: WorkerPool, clock: Clock) -> None:
        self._shelf = shelf
        self._parts = parts
        self._disk = disk
        self._clock = clock
        self._notices = Notices()
        self._is_complete = False
        self._scanning: CameraId | None = None
        #: Files of the folder that is being scanned which were looked at meanwhile.
        self._fresh: set[str] = set()
        self._round = Round(shelf)
        #: Set when all folders are in the index.
        self._completed = anyio.Event()
        self._refreshing = anyio.Lock()
        self._wake = anyio.Event()

    @property
    def kind(self) -> str:
        return self._shelf.kind

    @property
    def is_settled(self) -> bool:
        """True while the index has all that the agent knows or was told of."""
        return self._is_complete and self._scanning is None and self._notices.are_taken

    def tell(self, camera: CameraId, file: str) -> None:
        """Take note that a file was made, changed or deleted. Any thread may call it.

        Without an open index there is nothing to note: all folders are compared once it is open.
        """
        if self._parts.database is not None:
            self._notices.tell(camera, file)

    def notice(self, noticed: Noticed) -> None:
        """Sort out what inotify has noticed."""
        self._notices.notice(noticed)

    def leave(self, database: IndexDatabase) -> None:
        """Let the next run scan the folders with changes that are not taken over. Raises sqlite3.Error."""
        for camera in self._notices.waiting:
            database.keep_folder(self._shelf.kind, camera, None)

    def forget(self) -> None:
        """Begin anew, with another database or none."""
        self._is_complete = False
        self._notices = Notices()
        self._round = Round(self._shelf)
        self._completed.set()  # who waits for it must not do so for ever
        self._completed = anyio.Event()

    async def page(self, camera: CameraId | None, *, offset: int, limit: int) -> Found | None:
        """Return a page, newest first; None while the index is not settled and the folders are small, or there is none.

        Where the folders are large, it may lag behind what other programs do, by as long as a scan takes.

        Raises:
            sqlite3.Error: the index failed.
            StorageFailed: the disk is not there.
        """
        if not (await self._is_current() or await self._is_better_than_the_folders()):
            return None
        return await self._parts.thread.run(self._page, camera, offset, limit)

    async def totals(self, camera: CameraId | None = None) -> Totals | None:
        """Return the number and size of all files, or of one camera's. None and errors are as for `page`."""
        if not await self._is_current():
            return None
        return await self._parts.thread.run(self._totals, camera)

    async def open_files(self) -> list[tuple[CameraId, str]] | None:
        """Return camera and file of each open entry, once the index is complete; None if there is none.

        Raises:
            sqlite3.Error: the index failed.
        """
        while self._will_be_complete():
            await self._completed.wait()
        database = self._parts.database if self._is_complete else None
        return (
            None if database is None else await self._parts.thread.run(database.open_files, self._shelf.kind)
        )

    async def camera_totals(self) -> dict[CameraId, CameraTotals] | None:
        """Return the totals of each camera with files. None and errors are as for `page`."""
        database = self._parts.database if await self._is_current() else None
        if database is None:
            return None
        return await self._parts.thread.run(database.camera_totals, self._shelf.kind)

    async def oldest(
        self, camera: CameraId | None, *, after: tuple[int, str], before_ns: int, limit: int
    ) -> list[OldEntry] | None:
        """Return entries as `IndexDatabase.oldest`, of all cameras or of one. None and errors are as for `page`."""
        database = self._parts.database if await self._is_current() else None
        if database is None:
            return None
        read = partial(database.oldest, after=after, before_ns=before_ns, limit=limit)
        return await self._parts.thread.run(read, self._shelf.kind, camera)

    async def _is_current(self) -> bool:
        if not self.is_settled or self._parts.database is None:
            return False
        await self.refresh()
        return self.is_settled

    def _will_be_complete(self) -> bool:
        return self._parts.is_working and not self._is_complete

    async def _is_better_than_the_folders(self) -> bool:
        """Return True if the index is complete, or was after a wait, and the folders are large."""
        if not self._parts.is_working or not await self._disk.run_abandonable(is_large, self._shelf.root):
            return False
        with anyio.move_on_after(WAIT_S):
            while self._will_be_complete():
                await self._completed.wait()
        if not self._is_complete:
            return False
        await self.refresh()
        return True

    def _page(self, camera: CameraId | None, offset: int, limit: int) -> Found | None:
        if (database := self._parts.database) is None:
            return None
        rows, total = database.page(self._shelf.kind, camera, offset=offset, limit=limit)
        return tuple(rows), total

    def _totals(self, camera: CameraId | None) -> Totals | None:
        database = self._parts.database
        return None if database is None else database.totals(self._shelf.kind, camera)

    async def refresh(self) -> None:
        """Take over all changes that were told or noticed before this call.

        Raises:
            sqlite3.Error: the index failed.
            StorageFailed: the disk is not there.
        """
        async with self._refreshing:
            await self._parts.collect()
            while (changed := self._notices.next()) is not None:
                await self._take(*changed)
            if not self._notices.are_taken:
                self._wake.set()

    async def _take(self, camera: CameraId, files: set[str]) -> None:
        """Look at files and take over what is there; without success, scan the folder later."""
        names = sorted(files)
        try:
            for start in range(0, len(names), _LOOKS):
                chosen = names[start : start + _LOOKS]
                looked = await self._disk.run_abandonable(self._looked, camera, chosen)
                if camera == self._scanning:
                    self._fresh.update(chosen)
                if gone := [file for file, entry in zip(chosen, looked, strict=True) if entry is None]:
                    self._parts.tell_gone(self._shelf.kind, camera, gone)
                await self._parts.thread.run(self._put, camera, chosen, looked)
        except BaseException:
            self._notices.dirty.add(camera)
            self._wake.set()
            raise

    def _looked(self, camera: CameraId, files: Sequence[str]) -> list[IndexEntry | None]:
        """Look at files. Raises StorageFailed if the disk is not there, or vanished meanwhile."""
        try:
            found = [looked(self._shelf, camera, each) for each in files]
        except OSError as error:
            raise explain_os_error(error, f"read the {self._shelf.kind}") from error
        self._shelf.check()  # a vanished disk looks like an empty folder
        return found

    def _put(self, camera: CameraId, files: Sequence[str], looked: Sequence[IndexEntry | None]) -> None:
        if (database := self._parts.database) is not None:
            database.put(self._shelf.kind, camera, files, looked)

    async def run(self) -> None:
        """Keep the index right until cancelled.

        Raises:
            sqlite3.Error: the index failed.
        """
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            self._wake = anyio.Event()
            try:
                await self._compare_folders()
                for camera in sorted(self._notices.dirty):
                    await self._scan(camera)
                self._is_complete = True
                self._completed.set()
                pauses.reset()
                if self.is_settled:
                    await self._sweep()
                else:  # changed again meanwhile
                    await self._clock.sleep(SETTLE_S)
            except (StorageFailed, ScanFailed) as error:
                _log.debug("the index of %s waits: %s", self._shelf.kind, error)
                await self._clock.sleep(pauses.next_s())

    async def _compare_folders(self) -> None:
        """Compare the cameras' folders with those of the index; note those to scan, and forget those that are gone.

        Raises:
            StorageFailed: the disk is not there, or cannot be read.
        """
        notices, doubts = self._notices, self._notices.doubts
        _, before = await self._parts.thread.run(self._known_folders)
        folders, times = await self._disk.run_abandonable(self._find_folders, notices.folders)
        notices.install(folders)
        await self.refresh()
        known, _ = await self._parts.thread.run(self._known_folders)
        for camera, time_ns in times.items():
            if known.get(camera) == time_ns:
                continue
            if camera in known and notices.explain(camera):
                await self._parts.thread.run(self._keep_folder, camera, time_ns)
            else:
                notices.dirty.add(camera)
        notices.noticed.clear()
        for camera in before - times.keys():  # not those that the agent has told since: their folders are new
            notices.drop(camera)
            while await self._parts.thread.run(self._clear_some, camera):
                pass
        notices.dirty &= times.keys()
        notices.compared(doubts)

    def _find_folders(self, known: WatchedFolders) -> tuple[WatchedFolders, dict[CameraId, int]]:
        self._shelf.check()
        try:
            found = find_folders(self._shelf.root, known, self._parts.watches)
        except OSError as error:
            raise explain_os_error(error, f"read the folder of {self._shelf.kind}") from error
        self._shelf.check()  # a vanished disk looks like an empty folder
        return found

    def _known_folders(self) -> tuple[dict[CameraId, int], set[CameraId]]:
        if (database := self._parts.database) is None:
            return {}, set()
        return database.folders(self._shelf.kind), database.cameras(self._shelf.kind)

    def _keep_folder(self, camera: CameraId, time_ns: int | None) -> None:
        if (database := self._parts.database) is not None:
            database.keep_folder(self._shelf.kind, camera, time_ns)

    def _clear_some(self, camera: CameraId) -> bool:
        database = self._parts.database
        return database is not None and database.clear_some(self._shelf.kind, camera)

    async def _scan(self, camera: CameraId) -> None:
        """Make the entries of a camera those in its folder; a child process looks for them unless they are few.

        Raises:
            ScanFailed: the child failed; the folder stays to be scanned.
            StorageFailed: the disk is not there.
        """
        time_ns: int | None = None
        after = ""
        self._scanning, self._fresh = camera, set()
        self._notices.drop(camera)

        async def take(value: int | list[IndexEntry] | None) -> None:
            nonlocal time_ns, after
            if isinstance(value, list):
                after = await self._reconcile(camera, value, after, value[-1].file if value else after)
            else:
                time_ns = value

        try:
            few = await self._disk.run_abandonable(self._few, camera)
            if few is None:
                await scan(self._shelf.scanner, camera, take)
            else:
                await take(few[0])
                await take(await self._disk.run_abandonable(self._existing, camera, few[1]))
            await self._reconcile(camera, [], after, None)
            await self._parts.thread.run(self._keep_folder, camera, time_ns)
        except BaseException:
            self._notices.dirty.add(camera)
            raise
        finally:
            self._scanning = None

    def _few(self, camera: CameraId) -> tuple[int | None, list[str]] | None:
        """Return the time of a folder (ns), then its files, sorted; None if they are many."""
        time_ns = changed_ns(self._shelf.root / camera)
        try:
            files = list(islice(self._shelf.files(camera), _FEW + 1))
        except (FileNotFoundError, NotADirectoryError):
            return None, []
        except OSError as error:
            raise explain_os_error(error, f"read the {self._shelf.kind}") from error
        return (time_ns, sorted(files)) if len(files) <= _FEW else None

    def _existing(self, camera: CameraId, files: Sequence[str]) -> list[IndexEntry]:
        return [each for each in self._looked(camera, files) if each is not None]

    async def _reconcile(self, camera: CameraId, found: list[IndexEntry], after: str, to: str | None) -> str:
        """Take over what a scan found between two files, in steps; return the last file."""
        await self._disk.run_abandonable(self._shelf.check)  # a vanished disk looks like an empty folder
        while to is None or after < to:
            reached = await self._parts.thread.run(self._reconciled, camera, found, after, to)
            if reached is None:
                break
            after = reached
        return after if to is None else to

    def _reconciled(
        self, camera: CameraId, found: list[IndexEntry], after: str, to: str | None
    ) -> str | None:
        """Take over some of what was found; return the last file of these, or None if there is no more."""
        if (database := self._parts.database) is None:
            return None
        return database.reconcile(self._shelf.kind, camera, found, after=after, to=to, fresh=self._fresh)

    async def _sweep(self) -> None:
        """Look at the times of all entries within one round, from where the last was interrupted by a doubt."""
        totals = await self._parts.thread.run(self._totals, None)
        pause_s = ROUND_S / (1 + (totals.count if totals else 0) // SLICE)
        self._round.begin(self._notices.folders)
        while not self._wake.is_set():
            entries = await self._parts.thread.run(self._swept)
            if changed := await self._disk.run_abandonable(stale, self._shelf.root, entries):
                for camera, file in changed:
                    self.tell(camera, file)
                await self.refresh()
            is_last = self._round.passed(entries, self._notices.folders)
            await sleep_unless(self._clock, pause_s, self._wake)
            if is_last:
                return

    def _swept(self) -> list[SweptEntry]:
        return [] if (database := self._parts.database) is None else self._round.next(database)

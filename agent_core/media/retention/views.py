"""Views of one kind of stored media for retention: by the index, or by the folders while there is no index."""

import heapq
import sqlite3
from bisect import bisect_right
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from agent_core.base.files import explain_os_error
from agent_core.base.models import CameraId
from agent_core.base.workers import WorkerPool
from agent_core.media.entries import camera_folders
from agent_core.media.index import CameraTotals, IndexedShelf, OldEntry, Shelf, Totals
from agent_core.media.index.entries import looked

__all__ = ("FolderView", "IndexView", "MediaView", "StoredMedia", "Unsettled", "WantedView")

T = TypeVar("T")

#: Entries sorted in one call, which then takes some milliseconds.
_RUN = 4096


class Unsettled(Exception):
    """Sign that the index is being compared with the folders, or has failed, or that the plan was replaced."""


class MediaView(Protocol):
    """View of what there is of one kind. Every method may raise Unsettled or StorageFailed."""

    async def totals(self) -> Totals:
        """Return the number and bytes of all files."""
        ...

    async def camera_totals(self) -> Mapping[CameraId, CameraTotals]:
        """Return the totals of each camera."""
        ...

    async def oldest(
        self, camera: CameraId | None, *, after: tuple[int, str], before_ns: int, limit: int
    ) -> Sequence[OldEntry]:
        """Return up to `limit` files in the order of time, then name: those after `after`, earlier than `before_ns`."""
        ...


@dataclass(frozen=True, slots=True)
class IndexView:
    """View by the index, which changes with what happens to the files."""

    shelf: IndexedShelf

    async def totals(self) -> Totals:
        return await _known(self.shelf.totals())

    async def camera_totals(self) -> Mapping[CameraId, CameraTotals]:
        return await _known(self.shelf.camera_totals())

    async def oldest(
        self, camera: CameraId | None, *, after: tuple[int, str], before_ns: int, limit: int
    ) -> Sequence[OldEntry]:
        return await _known(self.shelf.oldest(camera, after=after, before_ns=before_ns, limit=limit))


async def _known(reading: Awaitable[T | None]) -> T:
    try:
        found = await reading
    except sqlite3.Error as error:
        raise Unsettled from error
    if found is None:
        raise Unsettled
    return found


class FolderView:
    """View of the folders as they were when it was made, in the order of time. Keeps some hundred bytes per file."""

    def __init__(self, entries: Sequence[OldEntry]) -> None:
        self._entries = entries

    @classmethod
    def read(cls, shelf: Shelf) -> "FolderView":
        """Read all folders of a shelf. Blocks on the disk.

        Raises:
            StorageFailed: the disk is not there, or a folder cannot be read.
        """
        shelf.check()
        try:
            entries = _found(shelf)
            # One sort of all would hold the GIL for long: see `base.listing.newest_first`.
            runs = list(iter(lambda: sorted(islice(entries, _RUN)), []))
        except FileNotFoundError:  # the root was not made yet
            runs = []
        except OSError as error:
            raise explain_os_error(error, f"read the folder of {shelf.kind}") from error
        shelf.check()  # a vanished disk looks like an empty folder
        return cls(list(heapq.merge(*runs)))

    async def totals(self) -> Totals:
        return Totals(len(self._entries), sum(each.size_bytes for each in self._entries))

    async def camera_totals(self) -> Mapping[CameraId, CameraTotals]:
        counts = Counter(each.camera for each in self._entries)
        opened = Counter(each.camera for each in self._entries if each.is_open)
        return {camera: CameraTotals(count, opened[camera]) for camera, count in counts.items()}

    async def oldest(
        self, camera: CameraId | None, *, after: tuple[int, str], before_ns: int, limit: int
    ) -> Sequence[OldEntry]:
        start = bisect_right(self._entries, after, key=lambda each: (each.at_ns, each.name))
        found: list[OldEntry] = []
        for at in range(start, len(self._entries)):
            each = self._entries[at]
            if each.at_ns >= before_ns or len(found) == limit:
                break
            if camera in {None, each.camera}:
                found.append(each)
        return found


def _found(shelf: Shelf) -> Iterator[OldEntry]:
    for folder in camera_folders(shelf.root):
        camera = CameraId(folder.name)
        with suppress(FileNotFoundError):  # deleted meanwhile
            for file in shelf.files(camera):
                entry = looked(shelf, camera, file)
                if entry is not None and entry.is_listed:
                    yield OldEntry(
                        entry.at_ns, entry.name, camera, file, entry.size_bytes, is_open=entry.is_open
                    )


@dataclass(frozen=True, slots=True)
class WantedView:
    """View that ends the deletion under way: it raises Unsettled for a further page once `is_wanted` returns False."""

    view: MediaView
    is_wanted: Callable[[], bool]

    async def totals(self) -> Totals:
        return await self.view.totals()

    async def camera_totals(self) -> Mapping[CameraId, CameraTotals]:
        return await self.view.camera_totals()

    async def oldest(
        self, camera: CameraId | None, *, after: tuple[int, str], before_ns: int, limit: int
    ) -> Sequence[OldEntry]:
        if not self.is_wanted():
            raise Unsettled
        return await self.view.oldest(camera, after=after, before_ns=before_ns, limit=limit)


@dataclass(frozen=True, slots=True)
class StoredMedia:
    """One kind of stored media: its shelf on disk and in the index, None without an index; and a thread for it.

    `check_writable` raises StorageFailed while its disk is not there, or mounted read-only; it blocks on the disk.
    """

    shelf: Shelf
    indexed: IndexedShelf | None
    thread: WorkerPool
    check_writable: Callable[[], None]

    async def view(self, *, from_folders: bool) -> MediaView | None:
        """Return what there is. See `Stock.view`."""
        if self.indexed is None or from_folders:
            return await self.thread.run_abandonable(FolderView.read, self.shelf)
        view = IndexView(self.indexed)
        try:
            await view.totals()
        except Unsettled:
            return None
        return view

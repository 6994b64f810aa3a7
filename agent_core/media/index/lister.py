"""Lists of stored media by the index, and from the folders while the index is not settled."""

import logging
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from agent_core.base.errors import StorageFailed
from agent_core.base.listing import Lister, Page
from agent_core.base.models import CameraId
from agent_core.base.workers import WorkerPool
from agent_core.media.index.entries import Totals
from agent_core.media.index.shelves import IndexedShelf

__all__ = ("IndexedLister",)

_log = logging.getLogger("camera_agent.storage")

ItemT = TypeVar("ItemT")
EntryT = TypeVar("EntryT")
#: Attempts to fill a page from which deleted items were dropped.
_ATTEMPTS = 3


class IndexedLister(Generic[EntryT, ItemT]):
    """List of a shelf's items, each of which is looked at on disk.

    Args:
        shelf: the shelf in the index; None: always read the folders.
        folders: reads the list from the folders.
        load: returns the items of files, by camera and file, without vanished ones; raises StorageFailed while the disk
            is not there; blocks.
        thread: thread for `load`.
    """

    def __init__(
        self,
        shelf: IndexedShelf | None,
        folders: Lister[EntryT, ItemT],
        load: Callable[[Sequence[tuple[CameraId, str]]], Sequence[ItemT]],
        *,
        thread: WorkerPool,
    ) -> None:
        self._shelf = shelf
        self._folders = folders
        self._load = load
        self._thread = thread

    async def page(self, camera: CameraId | None, *, offset: int, limit: int) -> Page[ItemT]:
        """Return up to `limit` items, beginning at `offset`.

        Raises:
            StorageFailed: the folder cannot be read, or the disk is not there.
        """
        try:
            page = await self._indexed_page(camera, offset, limit)
        except StorageFailed:
            raise
        except Exception as error:  # noqa: BLE001 - the index is a cache: the folders have the list all the same
            _log.debug("the index failed: %r", error)
            page = None
        return await self._folders.page(camera, offset=offset, limit=limit) if page is None else page

    async def _indexed_page(self, camera: CameraId | None, offset: int, limit: int) -> Page[ItemT] | None:
        if self._shelf is None:
            return None
        attempts = 0
        while (found := await self._shelf.page(camera, offset=offset, limit=limit)) is not None:
            files, total = found
            items = await self._thread.run_abandonable(self._load, files)
            attempts += 1
            if len(items) == len(files) or attempts == _ATTEMPTS:
                return Page(tuple(items), total)
            for each in files:  # some are gone: others take their places
                self._shelf.tell(*each)
        return None

    async def all(self, camera: CameraId | None, keep: Callable[[ItemT], bool] | None = None) -> list[ItemT]:
        """Return the whole list from the folders, or its items for which `keep` returns True. Raises as `page`."""
        return await self._folders.all(camera, keep)

    async def totals(self, camera: CameraId | None = None) -> Totals | None:
        """Return the totals of all items, or of one camera's; None while the index is not settled. Raises as `page`."""
        try:
            return await self._shelf.totals(camera) if self._shelf else None
        except StorageFailed:
            raise
        except Exception as error:  # noqa: BLE001 - as for `page`
            _log.debug("the index failed: %r", error)
            return None

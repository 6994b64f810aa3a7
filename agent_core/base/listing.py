"""Paged lists of stored media, read by one thread and shared by concurrent callers."""

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from agent_core.base.locks import KeyedLock
from agent_core.base.models import CameraId
from agent_core.base.workers import WorkerPool

__all__ = ("Lister", "Page", "SharedReading", "newest_first")

EntryT = TypeVar("EntryT")
EntryKeyT = TypeVar("EntryKeyT", int, float)
ItemT = TypeVar("ItemT")
T = TypeVar("T")


#: Entries sorted in one call of `sorted`, which then takes some milliseconds.
_RUN = 4096
#: Items loaded at once from a list of which few are kept.
_LOADED = 256


def newest_first(entries: Iterable[tuple[EntryKeyT, str]]) -> list[tuple[EntryKeyT, str]]:
    """Return `entries` in descending order.

    One `list.sort` of 100,000 files holds the GIL for a third of a second, which stalls the event loop. Merging short
    sorted runs takes no longer in total and releases the GIL between runs.
    """
    remaining = iter(entries)
    runs = list(iter(lambda: sorted(islice(remaining, _RUN), reverse=True), []))
    return list(heapq.merge(*runs, reverse=True))


@dataclass(frozen=True, slots=True)
class Page(Generic[ItemT]):
    """Part of a list; `total` is the length of the whole list."""

    items: tuple[ItemT, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    """Value of the reading with the number `began`."""

    began: int
    value: T


class SharedReading(Generic[T]):
    """Readings that callers share: each caller gets one that began after its call, and so sees its own writes.

    Callers with equal keys take turns, and a waiting caller takes over a reading made meanwhile: concurrent callers
    cause at most two readings. A value is kept only while a caller waits. After a cancellation the next caller reads;
    an error reaches only the caller whose reading failed.
    """

    def __init__(self) -> None:
        self._locks = KeyedLock()
        self._callers: Counter[Hashable] = Counter()
        self._last: dict[Hashable, _Read[T]] = {}
        self._events = 0

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `read`, or of a reading for `key` that began after this call. Raises what `read` raises."""
        asked = self._next()
        self._callers[key] += 1
        try:
            async with self._locks.hold(key):
                last = self._last.get(key)
                if last is None or last.began < asked:
                    last = self._last[key] = _Read(self._next(), await read())
                return last.value
        finally:
            self._callers[key] -= 1
            if not self._callers[key]:
                del self._callers[key]
                self._last.pop(key, None)

    def _next(self) -> int:
        self._events += 1
        return self._events


class Lister(Generic[EntryT, ItemT]):
    """List of a folder's content, read in two steps: small entries for all items, then the items of one page.

    One thread does both for all clients, and concurrent callers share one reading of the entries. An item that
    vanishes between the two steps is counted in `total` but missing from the page.

    Args:
        scan: returns the entries of one camera, or of all (None), in the list's order; blocks.
        load: returns the items of some entries, without vanished ones; blocks.
        thread: pool of one thread for both; default: a pool of its own.
    """

    def __init__(
        self,
        scan: Callable[[CameraId | None], Sequence[EntryT]],
        load: Callable[[Sequence[EntryT]], Sequence[ItemT]],
        *,
        thread: WorkerPool | None = None,
    ) -> None:
        self._scan = scan
        self._load = load
        self._thread = thread or WorkerPool(1)
        self._entries = SharedReading[Sequence[EntryT]]()

    async def page(self, camera: CameraId | None, *, offset: int, limit: int) -> Page[ItemT]:
        """Return up to `limit` items, beginning at `offset`. Raises what `scan` and `load` raise."""
        entries = await self._read(camera)
        return await self._page(entries, entries[offset : offset + limit])

    async def all(self, camera: CameraId | None, keep: Callable[[ItemT], bool] | None = None) -> list[ItemT]:
        """Return the whole list, for the agent's own use. Raises what `scan` and `load` raise.

        Args:
            camera: as for `page`.
            keep: called in the thread with each item, in order; those for which it returns False are left out, so
                that few of many items need memory.
        """
        entries = await self._read(camera)
        return await self._thread.run_abandonable(self._kept, entries, keep or (lambda _item: True))

    def _kept(self, entries: Sequence[EntryT], keep: Callable[[ItemT], bool]) -> list[ItemT]:
        starts = range(0, len(entries), _LOADED)
        return [each for at in starts for each in self._load(entries[at : at + _LOADED]) if keep(each)]

    async def _read(self, camera: CameraId | None) -> Sequence[EntryT]:
        return await self._entries.get(camera, lambda: self._thread.run_abandonable(self._scan, camera))

    async def _page(self, entries: Sequence[EntryT], chosen: Sequence[EntryT]) -> Page[ItemT]:
        items = await self._thread.run_abandonable(self._load, chosen) if chosen else ()
        return Page(tuple(items), len(entries))

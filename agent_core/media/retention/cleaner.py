"""Deletion of stored media that a plan excludes: page by page, oldest first, with nothing but a page in memory."""

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from agent_core.base.errors import StorageFailed
from agent_core.base.models import CameraId
from agent_core.media.index import OldEntry
from agent_core.media.retention.limits import (
    FROM_START,
    Plan,
    age_limit,
    order_of,
    posix_ns,
    spans,
    surplus,
)
from agent_core.media.retention.stock import Freed, Stock
from agent_core.media.retention.views import MediaView, Unsettled, WantedView

__all__ = ("Cleaned", "MediaCleaner")

_log = logging.getLogger("camera_agent.retention")

#: Files read and deleted in one step, of some milliseconds on a healthy disk.
BATCH = 64


@dataclass(slots=True)
class Cleaned:
    """Result of a cleanup.

    Attributes:
        freed: what was deleted.
        problems: faults of disks; media on other disks were cleaned all the same.
        is_settled: False if the index was not settled, or the plan was replaced, so that a limit may still be passed.
    """

    freed: Freed = field(default_factory=Freed)
    problems: list[StorageFailed] = field(default_factory=list)
    is_settled: bool = True


class MediaCleaner:
    """Applies a plan to stocks of media. Holds at most a page of each in memory."""

    def __init__(self, stocks: Iterable[Stock]) -> None:
        self.stocks: Mapping[str, Stock] = {each.kind: each for each in stocks}

    async def clean(
        self,
        plan: Plan,
        *,
        now: datetime,
        from_folders: bool = False,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> Cleaned:
        """Delete what `plan` excludes at the time `now`; pass over what cannot be deleted.

        Args:
            plan: limits; leave out those by age while the clock is doubted.
            now: time by the wall clock.
            from_folders: read the folders, and not the index.
            is_wanted: returns False once the plan was replaced; it is asked before each page.
        """
        cleaned = Cleaned()
        found = await self._views(_kinds(plan), cleaned, from_folders=from_folders)
        views = {kind: WantedView(view, is_wanted) for kind, view in found.items()}
        for kind, max_age_s in plan.ages_s:
            if kind in views:
                walk = _Walk(self.stocks[kind], views[kind], now)
                await _attempt(cleaned, _by_age(walk, age_limit(now, max_age_s), cleaned))
        for kind, max_count in plan.counts:
            if kind in views:
                await _attempt(cleaned, _by_count(self.stocks[kind], views[kind], max_count, now, cleaned))
        for rule in plan.sizes:
            walks = [_Walk(self.stocks[kind], views[kind], now) for kind in rule.kinds if kind in views]
            await _attempt(cleaned, _by_size(walks, rule.max_bytes, now, cleaned))
        return cleaned

    async def _views(
        self, kinds: Iterable[str], cleaned: Cleaned, *, from_folders: bool
    ) -> dict[str, MediaView]:
        views = {}
        for kind in kinds:
            try:
                view = await self.stocks[kind].view(from_folders=from_folders)
            except StorageFailed as error:
                cleaned.problems.append(error)
                continue
            if view is None:
                cleaned.is_settled = False
            else:
                views[kind] = view
        return views


async def _attempt(cleaned: Cleaned, deletion: Awaitable[None]) -> None:
    try:
        await deletion
    except Unsettled:
        cleaned.is_settled = False
    except StorageFailed as error:
        cleaned.problems.append(error)


def _kinds(plan: Plan) -> list[str]:
    """Return the kinds that the plan limits, each once."""
    kinds = [kind for kind, _ in (*plan.ages_s, *plan.counts)]
    return list(dict.fromkeys((*kinds, *(kind for rule in plan.sizes for kind in rule.kinds))))


class _Walk:
    """Walk through the files of a stock, or of one of its cameras, oldest first."""

    def __init__(self, stock: Stock, view: MediaView, now: datetime, camera: CameraId | None = None) -> None:
        self.stock = stock
        self.view = view
        self._camera = camera
        self._spans = deque(spans(now))
        self._page: deque[OldEntry] = deque()

    async def head(self) -> OldEntry | None:
        """Return the next file without passing it; None after the last one."""
        while not self._page and self._spans:
            after, before_ns = self._spans[0]
            page = await self.view.oldest(self._camera, after=after, before_ns=before_ns, limit=BATCH)
            if page:
                self._page.extend(page)
                self._spans[0] = (page[-1].at_ns, page[-1].name), before_ns
            else:
                self._spans.popleft()
        return self._page[0] if self._page else None

    def pass_head(self) -> OldEntry:
        """Return the next file and pass it; after `head`."""
        return self._page.popleft()


async def _by_age(walk: _Walk, limit: datetime, cleaned: Cleaned) -> None:
    """Delete files older than `limit`. Their times in the index are no later than the newest times that count."""
    after, before_ns = FROM_START, posix_ns(limit)
    while page := await walk.view.oldest(None, after=after, before_ns=before_ns, limit=BATCH):
        after = page[-1].at_ns, page[-1].name
        cleaned.freed += await walk.stock.delete(_finished(page), older_than=limit)


async def _by_count(stock: Stock, view: MediaView, max_count: int, now: datetime, cleaned: Cleaned) -> None:
    """Delete each camera's oldest finished files but `max_count`. Counts them as `_by_size`."""
    for camera, totals in (await view.camera_totals()).items():
        left = surplus(totals, max_count)
        walk = _Walk(stock, view, now, camera)
        while left > 0:
            batch = await _batch([walk], count=left)
            if not batch:
                break
            freed = await stock.delete([each for _, each in batch], older_than=None)
            left -= len(batch) - freed.failed
            cleaned.freed += freed


async def _by_size(walks: Sequence[_Walk], max_bytes: int, now: datetime, cleaned: Cleaned) -> None:
    """Delete the oldest finished files of all `walks` until they have `max_bytes` together.

    A file in use counts as deleted: it goes once it is free, and no newer one goes in its place. For one that cannot be
    deleted the next one goes: else such files would add up until the disk is full.
    """
    left = sum([(await each.view.totals()).size_bytes for each in walks]) - max_bytes
    while left > 0:
        batch = await _batch(walks, size_bytes=left, now=now)
        if not batch:
            break
        left -= sum(each.size_bytes for _, each in batch)
        for walk in walks:
            chosen = [each for owner, each in batch if owner is walk]
            if chosen:
                freed = await walk.stock.delete(chosen, older_than=None)
                left += freed.failed_bytes
                cleaned.freed += freed


async def _batch(
    walks: Sequence[_Walk], *, now: datetime | None = None, count: int = BATCH, size_bytes: int | None = None
) -> list[tuple[_Walk, OldEntry]]:
    """Return the next finished files of `walks`, up to `count`, and no more than have `size_bytes`."""
    batch: list[tuple[_Walk, OldEntry]] = []
    taken = 0
    while len(batch) < min(count, BATCH) and (size_bytes is None or taken < size_bytes):
        heads = [(each, await each.head()) for each in walks]
        found = [(walk, head) for walk, head in heads if head is not None]
        if not found:
            break
        walk, head = found[0] if now is None else min(found, key=lambda each: order_of(each[1], now))
        walk.pass_head()
        if not head.is_open:
            batch.append((walk, head))
            taken += head.size_bytes
    return batch


def _finished(entries: Iterable[OldEntry]) -> list[OldEntry]:
    return [each for each in entries if not each.is_open]

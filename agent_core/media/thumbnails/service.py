"""Thumbnails for clients: from the cache, or made now; and the removal of those whose originals are gone."""

import hashlib
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import (
    AgentError,
    CaptureFailed,
    NotFound,
    RateLimited,
    StorageFailed,
    Unsupported,
)
from agent_core.base.locks import KeyedLock
from agent_core.base.models import CameraId
from agent_core.base.waiting import sleep_unless
from agent_core.base.workers import WorkerPool
from agent_core.media.downloads import Opened
from agent_core.media.thumbnails.cache import ThumbnailCache
from agent_core.media.thumbnails.failures import Failures, refusal
from agent_core.media.thumbnails.originals import Original, Originals

__all__ = ("Thumbnail", "Thumbnails")

_log = logging.getLogger("camera_agent.storage")

#: Thumbnails that are made at once, and requests that may wait for their turn.
MAKERS, MAX_WAITING = 2, 64
#: Time for one.
MAKE_S = 10.0
#: Time between two looks for originals that are gone; changes by other programs are known within a minute.
ROUND_S = 45.0
#: Originals that are looked at in one go.
_SLICE = 256
_SUFFIX = ".jpg"
_BUSY_RETRY_MS = 1000


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Description of a thumbnail for its download."""

    download_name: str
    media_type: str = "image/jpeg"
    next_name: None = None


@dataclass(frozen=True, slots=True)
class _Unstored:
    """Thumbnail that could not be stored, as an `Opened`; the client gets it from memory."""

    data: bytes
    modified_s: float

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reason: object) -> None:
        return

    def read(self, offset: int, size_bytes: int) -> bytes:
        return self.data[offset : offset + size_bytes]


class Thumbnails:
    """Thumbnails of all kinds of stored media.

    Equal requests share one attempt. A file that failed is not tried again until it changes, or for a while if its
    content need not be the cause. When all clients that wait for a thumbnail have left, its making is cancelled.

    Args:
        kinds: the originals by the first part of a thumbnail's name.
        cache: keeps the thumbnails; where it cannot, each request makes its own.
        width: width in pixels; thumbnails of another width are made anew.
        clock: for pauses and the times of failures.
    """

    def __init__(
        self, kinds: Mapping[str, Originals], cache: ThumbnailCache, *, width: int, clock: Clock
    ) -> None:
        self._width = width
        self._kinds = kinds
        self._cache = cache
        self._clock = clock
        self._failures = Failures(clock)
        self._disk = WorkerPool(1)
        #: For looks at the originals: their disks may hang, and the cache's does not.
        self._looks = WorkerPool(1)
        self._locks = KeyedLock()
        self._makers = anyio.Semaphore(MAKERS)
        self._waiting = 0
        self._gone: set[str] = set()
        self._wake = anyio.Event()
        self._has_told = False

    def can_make(self, kind: str) -> bool:
        """Return True if there may be thumbnails of a kind."""
        return kind in self._kinds and self._kinds[kind].can_make

    async def open(self, name: str) -> tuple[Thumbnail, Opened]:
        """Open the thumbnail `<kind>/<name of the original>.jpg`; make it if there is none. The caller closes it.

        Raises:
            NotFound: there is no such original.
            RateLimited: `busy`: too many thumbnails are being made.
            StorageFailed: a disk is not there, or refused.
            Unsupported: there is none, and why.
        """
        kind, _, rest = name.partition("/")
        originals = self._kinds.get(kind)
        if originals is None or not rest.endswith(_SUFFIX):
            raise NotFound(f"There is no such file: {name[:100]!r}.", resource="file", id=name)
        original = await originals.find(rest.removesuffix(_SUFFIX))
        with original.opened:
            key, version = f"{kind}/{original.item}", f"{original.version}-{self._width}"
            async with self._locks.hold(key):
                opened: Opened | None = await self._disk.run(self._cache.open, key, version)
                if opened is None:
                    self._failures.check(key, version)
                    opened = await self._make(originals, original, key, version)
        return Thumbnail(original.item.rpartition("/")[2] + _SUFFIX), opened

    async def _make(self, originals: Originals, original: Original, key: str, version: str) -> Opened:
        try:
            async with self._turn():
                data = await self._made(originals, original)
        except Unsupported as error:
            _log.info("%s: %s", key, error.details)
            self._failures.keep(key, version, error, is_growing=original.is_growing)
            raise
        try:
            return await self._disk.run(self._stored, key, version, data)
        except StorageFailed as error:
            if not self._has_told:
                self._has_told = True
                _log.warning("thumbnails are made at each view: %s", error.details)
            return _Unstored(data, original.opened.modified_s)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING:
            raise RateLimited(
                f"{self._waiting} thumbnails wait to be made.", retry_after_ms=_BUSY_RETRY_MS, reason="busy"
            )
        self._waiting += 1
        try:
            await self._makers.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._makers.release()

    async def _made(self, originals: Originals, original: Original) -> bytes:
        try:
            with anyio.fail_after(MAKE_S):
                return await originals.make(original)
        except (StorageFailed, RateLimited):
            raise
        except TimeoutError as error:
            late = CaptureFailed(f"it was not made within {MAKE_S:.0f} s.", reason="timed_out")
            raise refusal(late) from error
        except AgentError as error:
            raise refusal(error) from error

    def _stored(self, key: str, version: str, data: bytes) -> Opened:
        """Store a thumbnail and open it. Raises StorageFailed."""
        self._cache.put(key, version, data)
        opened = self._cache.open(key, version)
        if opened is None:
            raise StorageFailed("a thumbnail that was stored is gone, or larger than thumbnails.max_bytes.")
        return opened

    def gone(self, kind: str, camera: CameraId, files: Iterable[str]) -> None:
        """Take note of originals that are gone. For the event loop only."""
        self._gone.update(f"{kind}/{camera}/{each}" for each in files)
        self._wake.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Remove the thumbnails of originals that are gone, until cancelled."""
        task_status.started()
        while True:
            await sleep_unless(self._clock, ROUND_S, self._wake)
            if self._wake.is_set():
                self._wake = anyio.Event()
                gone, self._gone = self._gone, set()
                await self._disk.run(self._cache.remove, gone)
            else:
                for kind, originals in self._kinds.items():
                    await self._sweep(kind, originals)

    async def _sweep(self, kind: str, originals: Originals) -> None:
        keys = await self._disk.run(self._cache.keys, kind)
        items = [each.partition("/")[2] for each in keys]
        for start in range(0, len(items), _SLICE):
            chosen = items[start : start + _SLICE]
            try:
                left = await self._looks.run_abandonable(originals.remaining, chosen)
            except StorageFailed as error:
                _log.debug("the originals of thumbnails cannot be looked at: %s", error)
                return
            await self._disk.run(
                self._cache.remove, [f"{kind}/{each}" for each in chosen if each not in left]
            )

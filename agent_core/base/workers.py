"""Pools of worker threads by kind of work, so that a slow or hanging call delays only its own kind."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

__all__ = ("WorkerPool",)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class WorkerPool:
    """Limit on blocking calls of one kind, such as those to one disk or one device.

    All calls without a limiter share anyio's default limit (40): 40 hanging calls stop all others. Make one pool for
    each disk, device or service that can hang, and keep it as long as that; making it needs no event loop.

    Args:
        threads: number of calls that run at once. Further calls wait in order; cancellation removes them from the queue.
    """

    def __init__(self, threads: int) -> None:
        self._places = anyio.CapacityLimiter(threads)

    @property
    def running(self) -> int:
        """Number of calls that hold a thread, abandoned ones included."""
        return self._places.borrowed_tokens

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function` in a thread and wait for its end even if cancelled: for calls with side effects."""
        return await anyio.to_thread.run_sync(function, *args, limiter=self._places)

    async def run_abandonable(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function` in a thread; a cancelled caller returns at once and loses the result.

        The thread keeps its place until `function` returns, so cancelled calls to a hanging disk occupy at most
        `threads` threads. (anyio alone releases the place with the caller.)
        """
        place = object()
        await self._places.acquire_on_behalf_of(place)
        loop = asyncio.get_running_loop()
        claim = threading.Lock()  # taken by the thread when it begins, or by a caller cancelled before that

        def call() -> T:
            if not claim.acquire(blocking=False):
                raise asyncio.CancelledError
            try:
                return function(*args)
            finally:
                with suppress(RuntimeError):  # the loop has been closed, and the pool with it
                    loop.call_soon_threadsafe(self._places.release_on_behalf_of, place)

        try:
            return await anyio.to_thread.run_sync(
                call, abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
            )
        finally:
            if claim.acquire(blocking=False):
                self._places.release_on_behalf_of(place)

"""Worker threads by kind of work: what hangs or is slow holds up only its own kind."""

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
    """A limit of its own for blocking calls of one kind, such as those to one disk or one device.

    anyio's default limit (40) is shared by everything that names none: 40 calls that hang there stop all others. Make
    one pool for each thing that can hang, where the event loop need not run yet, and keep it as long as that thing.

    Args:
        threads: calls that run at once; more wait, in order, and leave the queue when they are cancelled.
    """

    def __init__(self, threads: int) -> None:
        self._places = anyio.CapacityLimiter(threads)

    @property
    def running(self) -> int:
        """The number of calls that hold a thread, abandoned ones included."""
        return self._places.borrowed_tokens

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function` in a thread and wait for it, also when cancelled: for calls that leave something behind."""
        return await anyio.to_thread.run_sync(function, *args, limiter=self._places)

    async def run_abandonable(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function` in a thread; a caller that is cancelled leaves at once, and its result is lost.

        The thread keeps its place until `function` returns, so however many callers leave a disk that hangs, no more
        than `threads` threads do. (anyio alone gives the place back with the caller.)
        """
        place = object()
        await self._places.acquire_on_behalf_of(place)
        loop = asyncio.get_running_loop()
        claim = threading.Lock()  # taken by the thread that begins, or by the caller that leaves before

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

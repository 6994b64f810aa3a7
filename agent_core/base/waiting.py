"""Waits that race, and pauses between attempts."""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from agent_core.base.clock import Clock

__all__ = ("GrowingPauses", "first_of", "sleep_unless")


async def first_of(*waits: Callable[[], Awaitable[object]]) -> None:
    """Run `waits` until the first one returns; cancel the others.

    Two may end in the same turn of the event loop, so each keeps its own result, for example in a `nonlocal` variable.

    Raises:
        ExceptionGroup: one of them raised an exception.
    """
    async with anyio.create_task_group() as tg:

        async def one(wait: Callable[[], Awaitable[object]]) -> None:
            await wait()
            tg.cancel_scope.cancel()

        for wait in waits:
            tg.start_soon(one, wait)


class GrowingPauses:
    """Pauses between attempts, each twice as long as the one before; call `reset` after a success."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return the seconds to wait now, and double the next pause."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Return to the first pause."""
        self._next_s = self._first_s


async def sleep_unless(clock: Clock, duration_s: float, event: anyio.Event) -> None:
    """Sleep for `duration_s`, or until `event` is set."""
    await first_of(partial(clock.sleep, duration_s), event.wait)

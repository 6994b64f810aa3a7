"""Waiting for whichever of several things happens first."""

from collections.abc import Awaitable, Callable

import anyio

__all__ = ("first_of",)


async def first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Return when the first of `waits` does; the others are cancelled."""
    async with anyio.create_task_group() as tg:

        async def one(wait: Callable[[], Awaitable[None]]) -> None:
            await wait()
            tg.cancel_scope.cancel()

        for wait in waits:
            tg.start_soon(one, wait)

"""Waiting for another process to get there: asking again and again, with an end."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

__all__ = ("eventually",)

T = TypeVar("T")


async def eventually(
    ask: Callable[[], Awaitable[T | None]], *, timeout_s: float = 10.0, every_s: float = 0.01
) -> T:
    """Call `ask` until its answer is true, and return that.

    Only for what happens outside this process; inside it there are events.

    Raises:
        TimeoutError: it never was.
    """
    with anyio.fail_after(timeout_s):
        while True:
            if answer := await ask():
                return answer
            await anyio.sleep(every_s)

"""Polling with a time limit."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

__all__ = ("eventually",)

T = TypeVar("T")


async def eventually(
    ask: Callable[[], Awaitable[T | None]], *, timeout_s: float = 20.0, every_s: float = 0.01
) -> T:
    """Call `ask` until its answer is true, and return that answer.

    Use it for changes outside this process; inside it, wait for an event.

    Raises:
        TimeoutError: no answer was true within `timeout_s`.
    """
    with anyio.fail_after(timeout_s):
        while True:
            if answer := await ask():
                return answer
            await anyio.sleep(every_s)

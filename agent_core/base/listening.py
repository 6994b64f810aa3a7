"""Accepting connections from a listening socket.

This uses plain sockets: anyio's streams and listeners have a race between data and cancellation, which writes a
traceback to the event loop's log (set_result on a cancelled future).
"""

import socket
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup

from agent_core.base.clock import Clock

__all__ = ("accept_clients",)

_ACCEPT_PAUSE_S = 0.1


async def accept_clients(
    listener: socket.socket,
    serve: Callable[[socket.socket], Coroutine[Any, Any, None]],
    *,
    tasks: TaskGroup,
    clock: Clock,
) -> None:
    """Accept clients until cancelled, and start `serve` in `tasks` for each.

    `serve` owns its socket, which is non-blocking. The caller owns `listener`, which must be non-blocking.
    """
    while True:
        await anyio.wait_readable(listener)
        try:
            client, _ = listener.accept()
        except OSError:  # the client has gone, or no file descriptor is free; retry after a pause
            await clock.sleep(_ACCEPT_PAUSE_S)
            continue
        client.setblocking(False)  # noqa: FBT003 - the standard library's
        tasks.start_soon(serve, client)

"""Taking connections from a listening socket.

With the sockets themselves: anyio's streams and listeners have a race between data and cancellation that ends as a
traceback in the event loop's log (set_result on a cancelled future).
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
    """Start `serve` in `tasks` for each client, until cancelled; `serve` owns its socket, which does not block.

    `listener` stays the caller's and must not block.
    """
    while True:
        await anyio.wait_readable(listener)
        try:
            client, _ = listener.accept()
        except OSError:  # gone again, or no file descriptors left: a moment later there may be
            await clock.sleep(_ACCEPT_PAUSE_S)
            continue
        client.setblocking(False)  # noqa: FBT003 - the standard library's
        tasks.start_soon(serve, client)

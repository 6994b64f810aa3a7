"""Accepts connections: the agent's own account always gets in, others have a share of the places."""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import Listener, SocketStream, TaskGroup
from anyio.streams.stapled import MultiListener

from embedded_server.connections.peers import is_own_account

__all__ = ("Crowd", "Guest", "accept_all")

_log = logging.getLogger("camera_agent.embedded_server")

#: No descriptor or memory is left: what has come waits in the listener's queue until there is.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 0.2
_SAY_AGAIN_S = 60.0


@dataclass(eq=False, slots=True)
class Guest:
    """One connection. One that `is_settled` (it has logged in, or reads or publishes) does not give way to others."""

    is_own: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_settled: bool = False


class Crowd:
    """The connections to one listener.

    Args:
        places: how many connections of other accounts and hosts there may be at once. When all are taken, the oldest
            that is not settled gives way to a new one; if all are settled, the new one is refused.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._strangers: dict[Guest, None] = {}  # by age

    @contextmanager
    def place(self, *, is_own: bool) -> Iterator[Guest | None]:
        """Have a place while the context is open; None if there is none."""
        guest = Guest(is_own)
        if is_own:
            yield guest
            return
        if len(self._strangers) >= self._places and not self._give_way():
            yield None
            return
        self._strangers[guest] = None
        try:
            yield guest
        finally:
            self._strangers.pop(guest, None)

    def _give_way(self) -> bool:
        for guest in self._strangers:
            if not guest.is_settled:
                guest.scope.cancel()
                del self._strangers[guest]
                return True
        return False


async def accept_all(
    listener: Listener[SocketStream], crowd: Crowd, serve: Callable[[SocketStream, Guest], Awaitable[None]]
) -> None:
    """Serve each connection in a task of its own until cancelled; connections end with it."""

    async def receive(stream: SocketStream) -> None:
        _read_only_when_asked(stream)
        async with stream:
            with crowd.place(is_own=await is_own_account(stream)) as guest:
                if guest is not None:
                    with guest.scope:
                        await serve(stream, guest)

    listeners = listener.listeners if isinstance(listener, MultiListener) else (listener,)
    async with anyio.create_task_group() as tg:
        for each in listeners:
            tg.start_soon(_accept, each, receive, tg)


def _read_only_when_asked(stream: SocketStream) -> None:
    """Stop the event loop from taking what the client sends before `receive` asks for it.

    anyio pauses a stream that it connects, and forgets to pause one that it accepts: the loop then takes 256 KiB
    at each turn, `receive` gives out 64 KiB of them, and the rest piles up for as long as the client sends.
    anyio 4 offers no public way to pause; its `receive` resumes and pauses the transport itself.
    """
    transport = getattr(stream, "_transport", None)
    if isinstance(transport, asyncio.Transport) and not transport.is_closing():
        transport.pause_reading()


async def _accept(
    listener: Listener[SocketStream], receive: Callable[[SocketStream], Awaitable[None]], tg: TaskGroup
) -> None:
    """Accept until cancelled. Being out of descriptors is said once a minute, and ends no connection."""
    say_from_s = anyio.current_time()
    while True:
        try:
            await listener.serve(receive, tg)
        except ConnectionError:
            continue  # the client has gone before it was accepted
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            if anyio.current_time() >= say_from_s:
                say_from_s = anyio.current_time() + _SAY_AGAIN_S
                _log.error("Connections to the embedded media server have to wait: %s.", error.strerror)
            await anyio.sleep(_PAUSE_S)

"""Admission of connections: always for the agent's own account, within a limit for all others."""

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import Listener, SocketStream, TaskGroup
from anyio.streams.stapled import MultiListener

from embedded_server.connections.peers import Peers

__all__ = ("Place", "Places", "accept_all")

_log = logging.getLogger("camera_agent.embedded_server")

#: No descriptor or memory is left: new connections wait in the listener's queue until there is.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 0.2
_LOG_INTERVAL_S = 60.0


@dataclass(eq=False, slots=True)
class Place:
    """Place of one connection; once `is_settled` (it has logged in, reads or publishes), it gives way to no other."""

    is_own: bool
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_settled: bool = False


class Places:
    """Places for the connections to one listener.

    Args:
        limit: the most connections that other accounts and hosts may have at once. When all places are taken, the
            oldest unsettled connection gives way to a new one; if all are settled, the new one is refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._strangers: dict[Place, None] = {}  # by age

    @contextmanager
    def take(self, *, is_own: bool) -> Iterator[Place | None]:
        """Hold a place while the context is open; yield None if all are taken."""
        place = Place(is_own)
        if is_own:
            yield place
            return
        if len(self._strangers) >= self._limit and not self._give_way():
            yield None
            return
        self._strangers[place] = None
        try:
            yield place
        finally:
            self._strangers.pop(place, None)

    def _give_way(self) -> bool:
        for place in self._strangers:
            if not place.is_settled:
                place.scope.cancel()
                del self._strangers[place]
                return True
        return False


async def accept_all(
    listener: Listener[SocketStream], places: Places, serve: Callable[[SocketStream, Place], Awaitable[None]]
) -> None:
    """Serve each connection in a task of its own until cancelled, which ends the connections."""
    peers = Peers()

    async def receive(stream: SocketStream) -> None:
        _read_on_demand(stream)
        async with stream:
            with places.take(is_own=await peers.is_own_account(stream)) as place:
                if place is not None:
                    with place.scope:
                        await serve(stream, place)

    listeners = listener.listeners if isinstance(listener, MultiListener) else (listener,)
    async with anyio.create_task_group() as tg:
        for each in listeners:
            tg.start_soon(_accept, each, receive, tg)


def _read_on_demand(stream: SocketStream) -> None:
    """Stop the event loop from reading ahead of `receive`.

    anyio pauses the streams that it connects, but not those that it accepts: the loop reads 256 KiB per iteration,
    `receive` returns 64 KiB of them, and the rest accumulates for as long as the client sends. anyio 4 has no public
    way to pause; its `receive` resumes and pauses the transport itself.
    """
    transport = getattr(stream, "_transport", None)
    if isinstance(transport, asyncio.Transport) and not transport.is_closing():
        transport.pause_reading()


async def _accept(
    listener: Listener[SocketStream], receive: Callable[[SocketStream], Awaitable[None]], tg: TaskGroup
) -> None:
    """Accept until cancelled; log a lack of descriptors at most once per minute, and keep all connections."""
    log_from_s = anyio.current_time()
    while True:
        try:
            await listener.serve(receive, tg)
        except ConnectionError:
            continue  # the client left before it was accepted
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            if anyio.current_time() >= log_from_s:
                log_from_s = anyio.current_time() + _LOG_INTERVAL_S
                _log.error(
                    "Connections to the embedded media server have to wait: %s. "
                    "Disconnect clients, or raise the agent's limits.",
                    error.strerror,
                )
            await anyio.sleep(_PAUSE_S)

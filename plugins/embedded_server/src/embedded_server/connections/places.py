"""Admission of connections: always for the agent's own account, within a limit for all others."""

import asyncio
import errno
import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import Listener, SocketStream, TaskGroup
from anyio.streams.stapled import MultiListener

from embedded_server.connections.peers import Peers, ends_of, is_own_account

__all__ = ("Place", "Places", "accept_all")

_log = logging.getLogger("camera_agent.embedded_server")

#: No descriptor or memory is left: new connections wait in the listener's queue until there is.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_PAUSE_S = 0.2
_LOG_INTERVAL_S = 60.0
#: Reading the kernel's tables takes milliseconds; a client of unknown owner is one of another account.
_LOOK_UP_S = 10.0
#: Connections whose owner is looked up.
_MAX_WAITING = 128


@dataclass(eq=False, slots=True)
class Place:
    """Place of one connection; once `is_settled` (it has logged in, reads or publishes), it gives way to no other.

    `peer` names the client whose share the place is of.
    """

    is_own: bool
    peer: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    is_settled: bool = False


class Places:
    """Places for the connections to one listener.

    The agent's own account may have any number. When all others are taken, the oldest unsettled connection of the peer
    that has most of them gives way to a new one; if all are settled, the new one is refused. No peer has more than
    a share, so that one cannot shut out the others.

    Args:
        limit: the most connections that other accounts and hosts may have at once.
        share: the most of these that one of them may have.
    """

    def __init__(self, limit: int, share: int) -> None:
        self._limit = limit
        self._share = share
        self._strangers: dict[Place, None] = {}  # by age

    @contextmanager
    def take(self, peer: str, *, is_own: bool = False) -> Iterator[Place | None]:
        """Hold a place while the context is open; yield None if all are taken."""
        place = Place(is_own, peer)
        if is_own:
            yield place
            return
        if not self._make_room(peer):
            yield None
            return
        self._strangers[place] = None
        try:
            yield place
        finally:
            self._strangers.pop(place, None)

    def _make_room(self, peer: str) -> bool:
        if sum(place.peer == peer for place in self._strangers) >= self._share:
            return self._give_way(peer)
        if len(self._strangers) < self._limit:
            return True
        unsettled = Counter(place.peer for place in self._strangers if not place.is_settled)
        return bool(unsettled) and self._give_way(unsettled.most_common(1)[0][0])

    def _give_way(self, peer: str) -> bool:
        for place in self._strangers:
            if place.peer == peer and not place.is_settled:
                place.scope.cancel()
                del self._strangers[place]
                return True
        return False


class _Complaints:
    """Limit on a kind of message: one per minute."""

    def __init__(self) -> None:
        self._from_s = -math.inf

    def are_due(self) -> bool:
        now_s = anyio.current_time()
        if now_s < self._from_s:
            return False
        self._from_s = now_s + _LOG_INTERVAL_S
        return True


class _Door:
    """Way of connections from the listener to `serve`."""

    def __init__(
        self,
        places: Places,
        waiting: Places,
        peers: Peers,
        serve: Callable[[SocketStream, Place], Awaitable[None]],
    ) -> None:
        self._places = places
        self._waiting = waiting
        self._peers = peers
        self._serve = serve
        self._refusals = _Complaints()

    async def receive(self, stream: SocketStream) -> None:
        """Serve a connection if there is a place for it."""
        _read_on_demand(stream)
        async with stream:
            peer, owner = "", None
            if (ends := ends_of(stream)) is not None:
                peer, owner = ends[0].subscriber, self._peers.owner_at_once(*ends)
                if owner is None:
                    with self._waiting.take(peer) as place:
                        if place is None:
                            return
                        with place.scope, anyio.move_on_after(_LOOK_UP_S):
                            owner = await self._peers.owner_in_tables(*ends)
                        if place.scope.cancel_called:
                            return
            if owner is not None:
                peer = f"account {owner}"
            with self._places.take(peer, is_own=is_own_account(owner)) as place:
                if place is not None:
                    with place.scope:
                        await self._serve(stream, place)
                elif self._refusals.are_due():
                    _log.warning("A connection of %s is refused: all places are taken.", peer or "a client")


async def accept_all(
    listener: Listener[SocketStream],
    places: Places,
    serve: Callable[[SocketStream, Place], Awaitable[None]],
    *,
    waiting: Places | None = None,
    peers: Peers | None = None,
) -> None:
    """Serve each connection in a task of its own until cancelled, which ends the connections.

    Args:
        listener: is closed by the caller.
        places: for connections that are served.
        serve: serves one connection, which is closed afterwards.
        waiting: for connections whose owner is looked up in tables; default: as many as strangers usually have.
        peers: finds the owners.
    """
    door = _Door(places, waiting or Places(_MAX_WAITING, _MAX_WAITING // 2), peers or Peers(), serve)
    listeners = listener.listeners if isinstance(listener, MultiListener) else (listener,)
    async with anyio.create_task_group() as tg:
        for each in listeners:
            tg.start_soon(_accept, each, door.receive, tg)


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
    complaints = _Complaints()
    while True:
        try:
            await listener.serve(receive, tg)
        except ConnectionError:
            continue  # the client left before it was accepted
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            if complaints.are_due():
                _log.error(
                    "Connections to the embedded media server have to wait: %s. "
                    "Disconnect clients, or raise the agent's limits.",
                    error.strerror,
                )
            await anyio.sleep(_PAUSE_S)

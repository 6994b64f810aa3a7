"""Acceptor of connections from the listening sockets, within the limits of slots and descriptors.

It works on the sockets directly: asyncio's server accepts until no descriptor is left, logs a traceback for each
connection that it cannot accept, and loses an accepted connection when it is cancelled in between.
"""

import asyncio
import errno
import logging
import os
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from agent_core.base.socket_place import LOOK_S, SocketPlace
from agent_core.web.peer import Peer, network_of
from agent_core.web.slots import Slots

__all__ = ("Acceptor", "Door", "LocalDoor")

_LOG = logging.getLogger("camera_agent.rpc.door")
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
#: Pause before the next attempt when no descriptor is left.
_PAUSE_S = 0.2
#: Refused peers answered at the same time.
_MOST_REFUSED = 16
#: Time for a TLS peer to confirm the end before it is dropped.
_TLS_END_S = 2.0
#: struct ucred of unix(7): pid, uid, gid.
_CREDENTIALS = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Door:
    """Listening socket with its slots and its TLS context."""

    listening: socket.socket
    slots: Slots
    tls: ssl.SSLContext | None = None

    @property
    def is_local(self) -> bool:
        return self.listening.family == socket.AF_UNIX


@dataclass(frozen=True, slots=True)
class LocalDoor:
    """Unix socket for the command line on this host; created again when its name disappears."""

    place: SocketPlace
    slots: Slots
    listening: socket.socket


class Acceptor:
    """Acceptor for all doors of one server.

    Args:
        protocol: returns the protocol for a new peer.
        tls_deadline_s: time limit of a TLS handshake; may be changed.
    """

    def __init__(self, protocol: Callable[[Peer], asyncio.Protocol], *, tls_deadline_s: float) -> None:
        self._protocol = protocol
        self.tls_deadline_s = tls_deadline_s
        self._refused: set[Peer] = set()
        self._is_exhausted = False
        self._left = anyio.Event()

    async def run(self, door: Door, tasks: TaskGroup) -> None:
        """Accept until cancelled; set up connections in `tasks`. The caller closes the listening socket."""
        while True:
            await anyio.wait_readable(door.listening)
            if door.slots.is_full and len(self._refused) >= _MOST_REFUSED:
                await self._left.wait()  # New connections wait in the kernel's queue.
                continue
            try:
                client, address = door.listening.accept()
            except OSError as error:
                await self._wait_after(error)
                continue
            self._is_exhausted = False
            client.setblocking(False)  # noqa: FBT003 - positional in the standard library
            if door.is_local and not _is_own(client):
                client.close()
                continue
            tasks.start_soon(
                self._connect, door, client, "" if door.is_local else network_of(str(address[0]))
            )

    async def keep(self, local: LocalDoor, tasks: TaskGroup) -> None:
        """Accept at `local` until cancelled; create its socket again if it is lost. Closes the listening socket."""
        listening = local.listening
        while True:
            with listening:
                async with anyio.create_task_group() as accepting:
                    accepting.start_soon(self.run, Door(listening, local.slots), tasks)
                    await local.place.wait_lost()
                    accepting.cancel_scope.cancel()
            listening = await _listen_again(local.place)

    def _note_gone(self, peer: Peer) -> None:
        self._refused.discard(peer)
        self._left.set()
        self._left = anyio.Event()

    async def _wait_after(self, error: OSError) -> None:
        """Wait if no descriptor is left; any other error concerns a connection that is already gone."""
        if error.errno not in _EXHAUSTED:
            return
        if not self._is_exhausted:
            self._is_exhausted = True
            cause = (error.strerror or str(error)).lower()
            _LOG.error("cannot accept connections at the moment: %s", cause)
        await anyio.sleep(_PAUSE_S)

    async def _connect(self, door: Door, client: socket.socket, address: str) -> None:
        with anyio.CancelScope() as scope:
            peer = Peer(address, door.slots, scope.cancel, self._note_gone)
            if peer.is_refused:
                if len(self._refused) >= _MOST_REFUSED:
                    client.close()
                    return
                self._refused.add(peer)
            await self._hand_over(door, client, peer)

    async def _hand_over(self, door: Door, client: socket.socket, peer: Peer) -> None:
        """Give the socket to asyncio, which then owns and closes it; on a failure the peer is gone."""
        tls = {"ssl_handshake_timeout": self.tls_deadline_s, "ssl_shutdown_timeout": _TLS_END_S}
        connected = False
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self._protocol(peer), client, ssl=door.tls, **(tls if door.tls else {})
            )
            connected = True
        except OSError:  # a failed handshake is the peer's fault
            pass
        except Exception:  # noqa: BLE001 - one connection must not end the server
            _LOG.exception("cannot set up a connection")
        finally:
            if not connected:
                peer.gone()


async def _listen_again(place: SocketPlace) -> socket.socket:
    while True:
        with suppress(OSError):
            return place.listen()
        await anyio.sleep(LOOK_S)


def _is_own(client: socket.socket) -> bool:
    """Return True if the peer of a unix socket is a process of this user or of root."""
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(credentials)
    return uid in {0, os.geteuid()}

"""Accepted connection: its slot, its end, and its progress in reading."""

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from agent_core.web.progress import Progress
from agent_core.web.slots import Slots

if TYPE_CHECKING:
    from agent_core.web.body_writer import BodyWriter

__all__ = ("Peer", "network_of")

#: `tcpi_bytes_acked` of struct tcp_info, <linux/tcp.h>; since Linux 4.1.
_BYTES_ACKED, _BYTES_ACKED_AT, _TCP_INFO_BYTES = struct.Struct("=Q"), 120, 128


def network_of(address: str) -> str:
    """Return what limits count an address as: an IPv4 address itself, of IPv6 the /64 network.

    A host gets a whole /64 from its router and can use a new address of it for each connection.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((ip, 64), strict=False))


class Peer:
    """Connection from acceptance to end, across the change of protocol.

    Args:
        address: its IP address, or the network that it is counted as; empty for the local socket.
        slots: the slots of which it takes one, as an anonymous peer.
        end: ends the connection when it loses its slot; protocols replace it.
        when_gone: called once, when the connection is closed.
    """

    def __init__(
        self, address: str, slots: Slots, end: Callable[[], None], when_gone: Callable[["Peer"], None]
    ) -> None:
        self.address = address
        self.end = end
        self.progress = Progress()
        #: Set by the protocol of HTTP.
        self.writer: BodyWriter | None = None
        self._slots = slots
        self._when_gone = when_gone
        self._slot = slots.enter(address, self._give_way)

    @property
    def is_refused(self) -> bool:
        """True if the connection got no slot."""
        return self._slot is None

    def set_known(self, *, is_known: bool) -> None:
        """Mark the peer as known, so that it never loses its slot, or as anonymous."""
        if self._slot is not None:
            self._slots.set_known(self._slot, is_known=is_known)

    def gone(self) -> None:
        """Release the slot: the connection is closed."""
        if self._slot is not None:
            self._slots.leave(self._slot)
        self._when_gone(self)

    def look(self, transport: asyncio.Transport, least_bytes: int) -> None:
        """Drop the peer if it has read less than `least_bytes` of its pending data since the last look."""
        if self.progress.is_stalled(_taken_bytes(transport), least_bytes, is_closing=transport.is_closing()):
            transport.abort()

    def _give_way(self) -> None:
        self.end()


def _taken_bytes(transport: asyncio.WriteTransport) -> int:
    """Return the bytes acknowledged by TCP, which unlike asyncio sees the buffer below TLS empty itself."""
    client: socket.socket | None = transport.get_extra_info("socket")
    if client is not None and client.family != socket.AF_UNIX:
        with suppress(OSError, struct.error):
            information = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            return int(_BYTES_ACKED.unpack_from(information, _BYTES_ACKED_AT)[0])
    return -transport.get_write_buffer_size()

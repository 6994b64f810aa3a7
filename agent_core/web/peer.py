"""One accepted connection: its slot, how it is ended, and whether it takes what it is sent."""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from agent_core.web.slots import Slots

__all__ = ("Peer", "Progress")

#: `tcpi_bytes_acked` of struct tcp_info, <linux/tcp.h>; since Linux 4.1.
_BYTES_ACKED, _BYTES_ACKED_AT, _TCP_INFO_BYTES = struct.Struct("=Q"), 120, 128


class Progress:
    """Tells a peer that reads slowly from one that does not read. Decides without I/O.

    It is looked at now and then: who has unsent data, or is being closed, must have taken some of it since.
    """

    def __init__(self) -> None:
        self._is_paused = False
        self._taken_bytes: int | None = None

    @property
    def is_paused(self) -> bool:
        return self._is_paused

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        """Note that the peer has taken what there was."""
        self._is_paused = False
        self._taken_bytes = None

    def is_stalled(self, taken_bytes: int, least_bytes: int, *, is_closing: bool) -> bool:
        """Return whether the peer has taken less than `least_bytes` since the last look.

        `taken_bytes` counts from any beginning that stays the same while there is unsent data.
        """
        if not self._is_paused and not is_closing:
            self._taken_bytes = None
            return False
        before_bytes, self._taken_bytes = self._taken_bytes, taken_bytes
        return before_bytes is not None and taken_bytes - before_bytes < least_bytes


class Peer:
    """A connection from its acceptance to its end, whatever protocol it speaks meanwhile.

    Args:
        address: its IP address; empty for the local socket.
        slots: where it takes its slot, as an anonymous one.
        end: how it gives way before a protocol has set `end` to something better.
        when_gone: called once, when the connection is closed.
    """

    def __init__(
        self, address: str, slots: Slots, end: Callable[[], None], when_gone: Callable[["Peer"], None]
    ) -> None:
        self.address = address
        self.end = end
        self.progress = Progress()
        self._slots = slots
        self._when_gone = when_gone
        self._slot = slots.enter(address, self._give_way)

    @property
    def is_refused(self) -> bool:
        """There was no slot for it."""
        return self._slot is None

    def set_known(self, *, is_known: bool) -> None:
        """Count the connection as that of a known peer, which never gives way, or as an anonymous one."""
        if self._slot is not None:
            self._slots.set_known(self._slot, is_known=is_known)

    def gone(self) -> None:
        """Give the slot back: the connection is closed."""
        if self._slot is not None:
            self._slots.leave(self._slot)
        self._when_gone(self)

    def look(self, transport: asyncio.Transport, least_bytes: int) -> None:
        """Drop a peer that has not taken `least_bytes` of what it was sent since the last look."""
        if self.progress.is_stalled(_taken_bytes(transport), least_bytes, is_closing=transport.is_closing()):
            transport.abort()

    def _give_way(self) -> None:
        self.end()


def _taken_bytes(transport: asyncio.WriteTransport) -> int:
    """Return what TCP has had acknowledged; below TLS there is a buffer that only TCP knows to be emptied."""
    client: socket.socket | None = transport.get_extra_info("socket")
    if client is not None and client.family != socket.AF_UNIX:
        with suppress(OSError, struct.error):
            information = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            return int(_BYTES_ACKED.unpack_from(information, _BYTES_ACKED_AT)[0])
    return -transport.get_write_buffer_size()

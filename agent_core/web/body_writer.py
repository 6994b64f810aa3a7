"""Writer of response bodies whose bytes many peers share, past the HTTP engine."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from agent_core.web.progress import Progress

__all__ = ("BodyWriter",)

#: Bytes that the kernel holds unsent for a peer: what it has accepted can no longer be replaced by something newer.
_UNSENT_LIMIT_BYTES = 64 << 10
#: Bytes handed over at once. asyncio copies for each peer what it keeps (until Python 3.12), and all peers share the rest.
_SLICE_BYTES = 256 << 10
#: The same under TLS, which copies all of it for each peer.
_TLS_SLICE_BYTES = 64 << 10
#: End of what is written, handed over on its own under TLS. TLS tells only of what it holds itself, so that this waits
#: there until the transport below has sent the rest.
_TLS_TAIL_BYTES = 1


class BodyWriter:
    """Writer to one peer, for a response that has begun and whose length is unknown.

    The engine copies and frames each part for each peer. Live views have the same bytes for all, so they are framed
    once: the caller must frame them as the response's protocol version needs.
    """

    def __init__(self, transport: asyncio.Transport, progress: Progress) -> None:
        self._transport = transport
        self._below = _below_tls(transport)
        self._progress = progress
        self._rest = memoryview(b"")

    @property
    def is_busy(self) -> bool:
        """True while the peer has not taken what was written, and after its connection has closed."""
        return bool(self._rest) or self._progress.is_paused or self._transport.is_closing()

    @contextmanager
    def following(self, when_ready: Callable[[], None]) -> Iterator[None]:
        """Buffer as little as possible, and while the context is open call `when_ready` when the peer has taken all.

        It is called in a later turn of the event loop, because TLS tells in the middle of a write. When the context ends,
        what is left of the last `write` is buffered, so that the end of the response can follow.
        """
        # TLS counts as busy with as much as the limit, and plain connections with more than that.
        self._transport.set_write_buffer_limits(high=1, low=0)
        if self._below is not None:
            self._below.set_write_buffer_limits(high=0)
        client: socket.socket | None = self._transport.get_extra_info("socket")
        if client is not None and client.family != socket.AF_UNIX:
            with suppress(OSError):
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_LIMIT_BYTES)
        is_open = True

        def tell() -> None:
            if is_open:
                self._hand_over()
            if is_open and not self.is_busy:
                when_ready()

        loop = asyncio.get_running_loop()
        self._progress.when_resumed = lambda: loop.call_soon(tell)
        try:
            yield
        finally:
            is_open = False
            self._progress.when_resumed = lambda: None
            rest, self._rest = self._rest, memoryview(b"")
            if rest and not self._transport.is_closing():
                self._transport.write(rest)

    def write(self, data: bytes) -> None:
        """Send `data`, slice by slice as the peer takes it. Write only while `following` is open and the peer is not busy."""
        self._rest = memoryview(data)
        self._hand_over()

    def _hand_over(self) -> None:
        while self._rest and not self._progress.is_paused and not self._transport.is_closing():
            size_bytes = self._next_bytes()
            ready, self._rest = self._rest[:size_bytes], self._rest[size_bytes:]
            self._transport.write(ready)

    def _next_bytes(self) -> int:
        if self._below is None:
            return _SLICE_BYTES
        return min(_TLS_SLICE_BYTES, max(len(self._rest) - _TLS_TAIL_BYTES, _TLS_TAIL_BYTES))


def _below_tls(transport: asyncio.Transport) -> asyncio.Transport | None:
    """Return the transport that carries TLS, for whose buffer asyncio has no public name; None without TLS."""
    protocol = getattr(transport, "_ssl_protocol", None)
    below: asyncio.Transport | None = getattr(protocol, "_transport", None)
    return below

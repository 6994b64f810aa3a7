"""Bounded send queue of a connection, emptied in as few writes as possible."""

from collections import deque

import anyio
from anyio.abc import ByteSendStream

__all__ = ("Outbox",)

#: Equals MediaMTX's `writeQueueSize`: about one second of a full-HD stream.
_LIMIT_PACKETS = 512
#: Equals MediaMTX's `writeTimeout`: a reader that accepts nothing for so long is disconnected.
_WRITE_TIMEOUT_S = 10.0


class Outbox:
    """Send queue; `put` and `put_packet` never wait.

    A slow reader loses packets, and finally its connection, without delaying others.
    """

    def __init__(
        self, *, limit_packets: int = _LIMIT_PACKETS, write_timeout_s: float = _WRITE_TIMEOUT_S
    ) -> None:
        self._limit_packets = limit_packets
        self._write_timeout_s = write_timeout_s
        self._waiting: deque[bytes] = deque()
        self._changed = anyio.Event()
        self._ending = False
        self.sent_bytes = 0
        self.discarded = 0

    def put(self, data: bytes) -> bool:
        """Queue an answer; return False if the queue is full, because the client sends requests without reading answers."""
        if len(self._waiting) >= 2 * self._limit_packets:
            return False
        self._queue(data)
        return True

    def _queue(self, data: bytes) -> None:
        self._waiting.append(data)
        self._changed.set()

    def put_packet(self, data: bytes) -> bool:
        """Queue a media packet; drop it and return False if there is no room."""
        if len(self._waiting) >= self._limit_packets:
            self.discarded += 1
            return False
        self._queue(data)
        return True

    def end(self) -> None:
        """Let `run` return once the queue is sent."""
        self._ending = True
        self._changed.set()

    async def run(self, stream: ByteSendStream) -> None:
        """Send until `end`.

        Raises:
            TimeoutError: the client accepts nothing.
            BrokenResourceError: the client has closed the connection.
        """
        while self._waiting or not self._ending:
            await self._changed.wait()
            self._changed = anyio.Event()
            data = b"".join(self._waiting)
            self._waiting.clear()
            with anyio.fail_after(self._write_timeout_s):
                await stream.send(data)
            self.sent_bytes += len(data)
            if self._ending:
                self._changed.set()

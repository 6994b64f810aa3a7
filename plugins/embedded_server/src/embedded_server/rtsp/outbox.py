"""What waits to be sent on one connection: bounded, and emptied in as few writes as possible."""

from collections import deque

import anyio
from anyio.abc import ByteSendStream

__all__ = ("Outbox",)

#: As MediaMTX's `writeQueueSize`: about a second of a full-HD stream.
_LIMIT_PACKETS = 512
#: As MediaMTX's `writeTimeout`: a reader that takes nothing for so long is sent away.
_WRITE_TIMEOUT_S = 10.0


class Outbox:
    """`put` never waits: a reader that is too slow loses packets, and in the end its connection, and delays nobody."""

    def __init__(
        self, *, limit_packets: int = _LIMIT_PACKETS, write_timeout_s: float = _WRITE_TIMEOUT_S
    ) -> None:
        self._limit_packets = limit_packets
        self._write_timeout_s = write_timeout_s
        self._waiting: deque[bytes] = deque()
        self._news = anyio.Event()
        self._ending = False
        self.sent_bytes = 0
        self.discarded = 0

    def put(self, data: bytes) -> bool:
        """Queue an answer; False for a client that asks on and on and reads nothing, which has to go."""
        if len(self._waiting) >= 2 * self._limit_packets:
            return False
        self._queue(data)
        return True

    def _queue(self, data: bytes) -> None:
        self._waiting.append(data)
        self._news.set()

    def put_packet(self, data: bytes) -> bool:
        """Queue a media packet, if there is room."""
        if len(self._waiting) >= self._limit_packets:
            self.discarded += 1
            return False
        self._queue(data)
        return True

    def end(self) -> None:
        """Let `run` return when all is sent."""
        self._ending = True
        self._news.set()

    async def run(self, stream: ByteSendStream) -> None:
        """Send until `end`.

        Raises:
            TimeoutError: the other side takes nothing.
            BrokenResourceError: it has gone.
        """
        while self._waiting or not self._ending:
            await self._news.wait()
            self._news = anyio.Event()
            data = b"".join(self._waiting)
            self._waiting.clear()
            with anyio.fail_after(self._write_timeout_s):
                await stream.send(data)
            self.sent_bytes += len(data)
            if self._ending:
                self._news.set()

"""Newest group of pictures of a stream, compressed and bounded."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from rtsp_tier.worker.captured import Captured

if TYPE_CHECKING:
    import av

__all__ = ("Entry", "Group", "VideoPacket")

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"

#: Most packets of a group. Only streams of tiny pictures reach it before the limit of bytes.
_PACKET_LIMIT = 3000


@dataclass(frozen=True, slots=True)
class Entry:
    """Compressed picture. `number` counts the pictures of the stream; its packet has it as `pts`.

    `is_torn`: packets were lost in it or directly before it, so it must not be decoded. `captured` is what its source
    tells of its exposure; None if that has to be estimated from the times.
    """

    number: int
    packet: VideoPacket
    is_key: bool
    size_bytes: int
    arrival_s: float
    stream_s: float | None
    is_torn: bool = False
    captured: Captured | None = None


class Group:
    """Key frame and the pictures after it, up to the newest. A key frame replaces all before it.

    Beyond the limits the oldest pictures after the key frame are dropped. Then the key frame can still be decoded, and a
    decoder that has kept up can go on; any other waits for the next key frame.

    Args:
        limit_bytes: most bytes to keep. A single key frame is kept at any size.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._key: Entry | None = None
        self._rest: deque[Entry] = deque()
        self._size_bytes = 0

    @property
    def key(self) -> Entry | None:
        """Newest key frame; None before the first."""
        return self._key

    @property
    def newest(self) -> Entry | None:
        return self._rest[-1] if self._rest else self._key

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    def add(self, entry: Entry) -> None:
        """Add the stream's next picture. Those before the first key frame are dropped."""
        if entry.is_key:
            self._key = entry
            self._rest.clear()
            self._size_bytes = entry.size_bytes
        elif self._key is not None:
            self._rest.append(entry)
            self._size_bytes += entry.size_bytes
        while self._rest and (self._size_bytes > self._limit_bytes or len(self._rest) >= _PACKET_LIMIT):
            self._size_bytes -= self._rest.popleft().size_bytes

    def after(self, number: int | None) -> list[Entry] | None:
        """Return the pictures to decode after the one of `number`.

        Args:
            number: the picture that a decoder was fed last; None for a decoder that starts.

        Returns:
            The pictures in order, from the key frame on if it is newer than `number`; None if some were dropped.
        """
        if self._key is None:
            return []
        starts = number is None or number < self._key.number
        last = self._key.number if starts or number is None else number
        rest = [each for each in self._rest if each.number > last]
        if rest and rest[0].number != last + 1:
            return None
        return [self._key, *rest] if starts else rest

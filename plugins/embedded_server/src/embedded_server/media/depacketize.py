"""Assembly of RTP packets to access units, for H.264 (RFC 6184) and H.265 (RFC 7798)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from embedded_server.media import rtp

__all__ = ("AccessUnit", "Depacketizer", "is_key_nalu", "nalu_type")

_H264_KEY = frozenset((5,))
_H265_KEY = frozenset((16, 17, 18, 19, 20, 21))
_MAX_UNIT_BYTES = 16 << 20


def nalu_type(codec: str, nalu: bytes) -> int:
    return nalu[0] & 0x1F if codec == "H264" else (nalu[0] >> 1) & 0x3F


def is_key_nalu(codec: str, nalu: bytes) -> bool:
    return nalu_type(codec, nalu) in (_H264_KEY if codec == "H264" else _H265_KEY)


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """Picture. `timestamp` is in units of the RTP clock, unwrapped, from the first packet of the stream.

    `arrived` is the time of the picture's first packet.
    """

    timestamp: int
    nalus: tuple[bytes, ...]
    key: bool
    arrived: datetime


class Depacketizer:
    """Assembler of pictures, which drops pictures with a lost packet.

    A picture is complete when its last packet or the first packet of the next one arrives.

    Args:
        codec: `H264` or `H265`.
        midway: the stream may begin inside a picture. That picture is dropped: its slices would look complete.
    """

    def __init__(self, codec: str, *, midway: bool = False) -> None:
        self._codec = codec
        self._nalus: list[bytes] = []
        self._fragment: bytearray | None = None
        self._size_bytes = 0
        self._damaged = midway
        self._sequence: int | None = None
        self._raw_timestamp: int | None = None
        self._timestamp = 0
        self._arrived: datetime | None = None

    def push(self, data: bytes, arrived: datetime) -> Iterator[AccessUnit]:
        packet = rtp.parse(data)
        if packet is None or not packet.payload:
            return
        lost = self._sequence is not None and packet.sequence != (self._sequence + 1) & 0xFFFF
        self._sequence = packet.sequence
        self._damaged |= lost
        if self._raw_timestamp is not None and packet.timestamp != self._raw_timestamp:
            yield from self._finish()
            self._damaged = lost  # the lost packet may have begun the new picture
        self._advance(packet.timestamp, arrived)
        self._take(packet.payload)
        if packet.marker:
            yield from self._finish()

    def _advance(self, raw: int, arrived: datetime) -> None:
        if self._raw_timestamp is not None:
            step = (raw - self._raw_timestamp) & 0xFFFF_FFFF
            self._timestamp += step - (1 << 32) if step >= 1 << 31 else step
        self._raw_timestamp = raw
        if self._arrived is None:
            self._arrived = arrived

    def _finish(self) -> Iterator[AccessUnit]:
        nalus, damaged, arrived = (
            tuple(self._nalus),
            self._damaged or self._fragment is not None,
            self._arrived,
        )
        self._nalus, self._fragment, self._damaged, self._arrived, self._size_bytes = [], None, False, None, 0
        if nalus and not damaged and arrived is not None:
            key = any(is_key_nalu(self._codec, nalu) for nalu in nalus)
            yield AccessUnit(self._timestamp, nalus, key, arrived)

    def _take(self, payload: bytes) -> None:
        self._size_bytes += len(payload)
        if self._size_bytes > _MAX_UNIT_BYTES:
            self._damaged = True
            self._nalus, self._fragment = [], None
            return
        if self._codec == "H264":
            self._take_h264(payload)
        else:
            self._take_h265(payload)

    def _take_h264(self, payload: bytes) -> None:
        kind = payload[0] & 0x1F
        if 1 <= kind <= 23:
            self._nalus.append(payload)
        elif kind == 24:
            self._split(payload, 1)
        elif kind == 28 and len(payload) > 2:
            head = bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            self._take_fragment(payload[1], head, payload[2:])
        else:
            self._damaged = True

    def _take_h265(self, payload: bytes) -> None:
        kind = nalu_type("H265", payload)
        if kind < 48:
            self._nalus.append(payload)
        elif kind == 48:
            self._split(payload, 2)
        elif kind == 49 and len(payload) > 3:
            head = bytes([payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]])
            self._take_fragment(payload[2], head, payload[3:])
        else:
            self._damaged = True

    def _split(self, payload: bytes, start: int) -> None:
        while start + 2 < len(payload):
            size = int.from_bytes(payload[start : start + 2], "big")
            if size and start + 2 + size <= len(payload):
                self._nalus.append(payload[start + 2 : start + 2 + size])
            start += 2 + size

    def _take_fragment(self, flags: int, head: bytes, data: bytes) -> None:
        if flags & 0x80:
            self._fragment = bytearray(head)
        if self._fragment is None:
            self._damaged = True
            return
        self._fragment += data
        if flags & 0x40:
            self._nalus.append(bytes(self._fragment))
            self._fragment = None

"""Assembly of RTP packets to access units, for H.264 (RFC 6184) and H.265 (RFC 7798)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from agent_core.plugin import VideoCodec
from agent_core.plugin.video import is_entry, nal
from embedded_server.media import rtp

__all__ = ("AccessUnit", "Depacketizer")

_MAX_UNIT_BYTES = 16 << 20
#: Units of a picture, which may be tiny: more than the slices of the largest picture with one per row of blocks.
_MAX_UNITS = 8192
#: Units without a picture that are kept for the next picture; typical are two sets, a delimiter and a supplement.
_MAX_PREFIX_UNITS = 32
_MAX_PREFIX_UNIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """Picture with the units that belong to it; at least one of `nalus` is a slice.

    `timestamp` is in units of the RTP clock, unwrapped, from the first packet of the stream. `arrived` is the time of
    the picture's first packet.
    """

    timestamp: int
    nalus: tuple[bytes, ...]
    key: bool
    arrived: datetime


class Depacketizer:
    """Assembler of pictures, which drops pictures with a lost packet.

    The marker bit and the time stamps of senders are hints: cameras set the marker on parameter sets, or on each slice,
    and give parameter sets the time of the picture before. A picture is therefore complete when the first unit of the
    next one arrives, and units without a slice are kept for the picture that follows.

    Args:
        codec: H.264 or H.265.
        midway: the stream may begin inside a picture. That picture is dropped: its slices would look complete.
    """

    def __init__(self, codec: VideoCodec, *, midway: bool = False) -> None:
        self._codec = codec
        self._nalus: list[bytes] = []
        self._prefix: tuple[bytes, ...] = ()
        self._fragment: bytearray | None = None
        self._size_bytes = 0
        self._damaged = midway
        self._has_slice = False
        self._marked = False
        self._sequence: int | None = None
        self._raw_timestamp: int | None = None
        self._timestamp = 0
        self._arrived: datetime | None = None

    @property
    def first_timestamp(self) -> int | None:
        """RTP time stamp that `AccessUnit.timestamp` counts from; None before the first packet."""
        return None if self._raw_timestamp is None else (self._raw_timestamp - self._timestamp) & 0xFFFF_FFFF

    def push(self, data: bytes, arrived: datetime) -> Iterator[AccessUnit]:
        """Take a packet, and return the pictures that it proves to be complete."""
        packet = rtp.parse(data)
        if packet is None or not packet.payload:
            return
        lost = self._sequence is not None and packet.sequence != (self._sequence + 1) & 0xFFFF
        self._sequence = packet.sequence
        self._damaged |= lost and not self._marked
        moved = self._raw_timestamp is not None and packet.timestamp != self._raw_timestamp
        if moved or (lost and self._marked):
            yield from self._finish()
            self._damaged = lost  # the lost packet may have begun the new picture
        self._advance(packet.timestamp)
        self._size_bytes += len(packet.payload)
        for nalu in self._units(packet.payload):
            yield from self._add(nalu, arrived)
        self._arrived = self._arrived or arrived
        if packet.marker and self._fragment is None:
            self._marked = True  # until the next whole unit shows which picture it belongs to

    def flush(self) -> Iterator[AccessUnit]:
        """Return the last picture, when no packet follows; without a marker it may be incomplete and is dropped."""
        if self._marked:
            yield from self._finish()

    def _finish(self) -> Iterator[AccessUnit]:
        torn = self._fragment is not None and not self._marked
        nalus, damaged, arrived, has_slice = (
            self._nalus,
            self._damaged or torn,
            self._arrived,
            self._has_slice,
        )
        self._nalus, self._fragment, self._arrived, self._size_bytes = [], None, None, 0
        self._damaged = self._has_slice = self._marked = False
        if not has_slice:
            self._keep(nalus)
            return
        prefix, self._prefix = self._prefix, ()
        if not damaged and arrived is not None:
            units = (*prefix, *nalus)
            yield AccessUnit(self._timestamp, units, is_entry(self._codec, units), arrived)
        else:
            self._keep([*prefix, *nalus])

    def _keep(self, nalus: list[bytes]) -> None:
        """Keep the units that belong to the next picture; parameter sets of a damaged one are still in force."""
        kept = [
            nalu
            for nalu in nalus
            if nal.precedes_picture(self._codec, nalu) and len(nalu) <= _MAX_PREFIX_UNIT_BYTES
        ]
        self._prefix = (*self._prefix, *kept)[-_MAX_PREFIX_UNITS:]

    def _advance(self, raw: int) -> None:
        if self._raw_timestamp is not None:
            self._timestamp += rtp.ticks_between(self._raw_timestamp, raw)
        self._raw_timestamp = raw

    def _add(self, nalu: bytes, arrived: datetime) -> Iterator[AccessUnit]:
        ended = self._marked and not nal.continues_picture(self._codec, nalu)
        if ended or (self._has_slice and nal.begins_picture(self._codec, nalu)):
            yield from self._finish()
        self._arrived = self._arrived or arrived
        self._nalus.append(nalu)
        self._has_slice |= nal.is_slice(self._codec, nalu)
        self._marked = False

    def _units(self, payload: bytes) -> Iterator[bytes]:
        """Return the units that the packet completes."""
        if self._size_bytes > _MAX_UNIT_BYTES or len(self._nalus) > _MAX_UNITS:
            self._damaged = True
            self._nalus, self._fragment = [], None
            return
        units = self._h264_units(payload) if self._codec is VideoCodec.H264 else self._h265_units(payload)
        for unit in units:
            yield from nal.split(self._codec, unit)

    def _h264_units(self, payload: bytes) -> Iterator[bytes]:
        kind = payload[0] & 0x1F
        if kind <= 23:  # 0 begins a start code
            yield payload
        elif kind == 24:
            yield from self._aggregated(payload, 1)
        elif kind == 28 and len(payload) > 2:
            head = bytes([payload[0] & 0xE0 | payload[1] & 0x1F])
            yield from self._assembled(payload[1], head, payload[2:])
        else:
            self._damaged = True

    def _h265_units(self, payload: bytes) -> Iterator[bytes]:
        kind = nal.nalu_type(self._codec, payload)
        if kind < 48:
            yield payload
        elif kind == 48:
            yield from self._aggregated(payload, 2)
        elif kind == 49 and len(payload) > 3:
            head = bytes([payload[0] & 0x81 | (payload[2] & 0x3F) << 1, payload[1]])
            yield from self._assembled(payload[2], head, payload[3:])
        else:
            self._damaged = True

    def _aggregated(self, payload: bytes, start: int) -> Iterator[bytes]:
        for unit, complete in rtp.aggregated(payload, start):
            self._damaged |= not complete
            if complete:
                yield unit

    def _assembled(self, flags: int, head: bytes, data: bytes) -> Iterator[bytes]:
        if flags & 0x80:
            self._fragment = bytearray(head)
        if self._fragment is None:
            self._damaged = True
            return
        self._fragment += data
        if flags & 0x40:
            unit, self._fragment = bytes(self._fragment), None
            yield unit

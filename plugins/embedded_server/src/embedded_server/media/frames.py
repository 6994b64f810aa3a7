"""Assembly of RTP packets to frames of sound and of data: AAC, Opus, G.711 and KLV."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from agent_core.plugin.video import BitstreamError
from embedded_server.media import aac, klv, rtp
from embedded_server.media.codecs import Codec
from embedded_server.media.opus import packet_ticks

__all__ = ("Frame", "FrameReader", "frame_reader")

#: A packet of a transport stream that holds no video has at most 65 535 bytes with its header.
_MAX_FRAME_BYTES = 65_000
#: The header of a transport stream has 13 bits for the size of an AAC frame; eight channels need 6144 bytes.
_MAX_AAC_BYTES = 8184


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame of a track; times are in units of the RTP clock, unwrapped, from the first packet of the stream."""

    timestamp: int
    duration: int
    data: bytes
    arrived: datetime


class FrameReader(ABC):
    """Reader of the frames of a track, which drops frames with a lost packet.

    Args:
        payload_type: of the track's format; packets of others, such as comfort noise, are skipped. None for any.
    """

    def __init__(self, codec: Codec, payload_type: int | None) -> None:
        self.codec = codec
        self._payload_type = payload_type
        self._sequence: int | None = None
        self._raw_timestamp: int | None = None
        self._timestamp = 0
        self._fragment = b""

    @property
    def first_timestamp(self) -> int | None:
        """RTP time stamp that `Frame.timestamp` counts from; None before the first packet."""
        return None if self._raw_timestamp is None else (self._raw_timestamp - self._timestamp) & 0xFFFF_FFFF

    def push(self, data: bytes, arrived: datetime) -> Iterator[Frame]:
        """Take a packet, and return the frames that it completes."""
        packet = rtp.parse(data)
        if packet is None or not packet.payload or self._payload_type not in (None, packet.payload_type):
            return
        if self._sequence is not None and packet.sequence != (self._sequence + 1) & 0xFFFF:
            self._lost()
        self._sequence = packet.sequence
        if self._raw_timestamp is not None:
            self._timestamp += rtp.ticks_between(self._raw_timestamp, packet.timestamp)
        self._raw_timestamp = packet.timestamp
        at = self._timestamp
        for content, ticks in self._frames(packet):
            yield Frame(at, ticks, content, arrived)
            at += ticks

    @abstractmethod
    def _frames(self, packet: rtp.RtpPacket) -> Iterator[tuple[bytes, int]]:
        """Return the frames that the packet completes, with their durations in ticks."""

    def _lost(self) -> None:
        """Drop what a lost packet has made incomplete."""
        self._fragment = b""


class _Aac(FrameReader):
    def _frames(self, packet: rtp.RtpPacket) -> Iterator[tuple[bytes, int]]:
        form = self.codec.aac
        assert form is not None  # noqa: S101 - `frame_reader` checks it
        ticks = form.frame_ticks(self.codec.clock_rate_hz)
        try:
            units = list(aac.access_units(packet.payload, form))
        except BitstreamError:
            self._lost()
            return
        for data, size in units:
            if size > _MAX_AAC_BYTES:
                self._lost()
            elif len(units) > 1 or len(data) == size:
                yield data, ticks
            else:
                yield from self._assembled(data, size, ticks)

    def _assembled(self, data: bytes, size: int, ticks: int) -> Iterator[tuple[bytes, int]]:
        self._fragment += data
        if len(self._fragment) >= size:
            whole, self._fragment = self._fragment, b""
            if len(whole) == size:
                yield whole, ticks


class _Opus(FrameReader):
    def _frames(self, packet: rtp.RtpPacket) -> Iterator[tuple[bytes, int]]:
        if ticks := packet_ticks(packet.payload):
            yield packet.payload, ticks


class _G711(FrameReader):
    def _frames(self, packet: rtp.RtpPacket) -> Iterator[tuple[bytes, int]]:
        yield packet.payload, max(1, len(packet.payload) // self.codec.channels)


class _Klv(FrameReader):
    """Units of the data link of RFC 6597, of which one may need several packets; the last one has the marker."""

    def __init__(self, codec: Codec, payload_type: int | None) -> None:
        super().__init__(codec, payload_type)
        self._unit = bytearray()
        #: Start of the item in it that is not whole.
        self._item = 0
        self._unit_timestamp: int | None = None
        self._is_damaged = False

    def _frames(self, packet: rtp.RtpPacket) -> Iterator[tuple[bytes, int]]:
        if self._unit_timestamp != packet.timestamp:
            self._unit, self._unit_timestamp, self._is_damaged = bytearray(), packet.timestamp, False
            self._item = 0
        if not self._unit and not klv.begins_unit(packet.payload):
            self._is_damaged = True  # the packet before it was lost
        self._unit += packet.payload
        self._item = klv.whole_until(self._unit, self._item)
        if packet.marker or len(self._unit) > _MAX_FRAME_BYTES or self._item == len(self._unit):
            unit, self._unit, self._item = bytes(self._unit), bytearray(), 0
            if not self._is_damaged and len(unit) <= _MAX_FRAME_BYTES:
                yield unit, 1
            self._is_damaged = False

    def _lost(self) -> None:
        self._is_damaged = bool(self._unit)


_READERS: dict[str, type[FrameReader]] = {"MPEG-4 Audio": _Aac, "Opus": _Opus, "G711": _G711, "KLV": _Klv}


def frame_reader(codec: Codec, payload_type: int | None) -> FrameReader | None:
    """Return a reader of the track's frames; None for video, and for a codec that is not read or cannot be stored."""
    reader = _READERS.get(codec.name)
    if not codec.is_plausible or reader is None or (reader is _Aac and codec.aac is None):
        return None
    return reader(codec, payload_type)

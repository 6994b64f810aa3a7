"""MPEG transport stream with one video track, sound and KLV data (ISO/IEC 13818-1)."""

import struct
from collections.abc import Iterator, Mapping, Sequence

from embedded_server.media.codecs import Codec
from embedded_server.media.container import Container
from embedded_server.media.opus import in_transport_stream
from embedded_server.media.samples import Sample

__all__ = ("MpegTs",)

_PAT_PID, _PMT_PID, _FIRST_PID = 0, 0x1000, 0x0100
_PRIVATE_DATA = 0x06
_STREAM_TYPE = {
    "H264": 0x1B,
    "H265": 0x24,
    "MPEG-4 Audio": 0x0F,
    "Opus": _PRIVATE_DATA,
    "KLV": _PRIVATE_DATA,
}
_VIDEO_ID, _AUDIO_ID, _PRIVATE_ID = 0xE0, 0xC0, 0xBD
_STREAM_ID = {"H264": _VIDEO_ID, "H265": _VIDEO_ID, "MPEG-4 Audio": _AUDIO_ID}
_DELIMITER = {"H264": b"\x09\xf0", "H265": b"\x46\x01\x50"}
_CLOCK_HZ = 90_000
#: One second, from the clock reference to decoding and again to presentation.
_LEAD = _CLOCK_HZ
_PACKET_BYTES = 188
_START = b"\x00\x00\x00\x01"


def _crc(data: bytes) -> bytes:
    """Return the CRC-32/MPEG-2."""
    value = 0xFFFF_FFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)) & 0xFFFF_FFFF
    return struct.pack(">I", value)


def _section(table: int, body: bytes) -> bytes:
    head = struct.pack(">BHHBBB", table, 0xB000 | len(body) + 9, 1, 0xC1, 0, 0)
    return b"\x00" + head + body + _crc(head + body)


def _descriptors(codec: Codec) -> bytes:
    """Return what identifies private data: SMPTE RP 217 for KLV, ETSI TS 103 491-1 (as in FFmpeg) for Opus."""
    if codec.name == "KLV":
        return b"\x05\x04KLVA"
    return b"\x05\x04Opus\x7f\x02\x80" + bytes([codec.channels]) if codec.name == "Opus" else b""


def _time(marker: int, value: int) -> bytes:
    value &= (1 << 33) - 1
    return struct.pack(
        ">BHH", marker << 4 | value >> 29 & 0x0E | 1, value >> 14 & 0xFFFE | 1, value << 1 & 0xFFFE | 1
    )


class MpegTs(Container):
    holds = frozenset(_STREAM_TYPE)

    def __init__(self, tracks: Mapping[int, Codec]) -> None:
        super().__init__(tracks)
        self._pids = {index: pid for pid, index in enumerate(tracks, start=_FIRST_PID)}
        self._counters: dict[int, int] = {}
        self._sections = self._program()

    def header(self, sample: Sample) -> bytes:
        self._start(sample)
        return self._tables()

    def correction(self, duration_s: float) -> None:
        return None

    def part(self, samples: Sequence[Sample]) -> bytes:
        tables = b"" if self._tracks[self._leading].is_video else self._tables()
        return tables + b"".join(packet for sample in samples for packet in self._packets_of(sample))

    def _program(self) -> tuple[tuple[int, bytes], ...]:
        program = struct.pack(">HH", 1, 0xE000 | _PMT_PID)
        streams = struct.pack(">HH", 0xE000 | self._pids[self._leading], 0xF000)
        for index, codec in self._tracks.items():
            about = _descriptors(codec)
            kind = _STREAM_TYPE[codec.name]
            streams += struct.pack(">BHH", kind, 0xE000 | self._pids[index], 0xF000 | len(about)) + about
        return (_PAT_PID, _section(0, program)), (_PMT_PID, _section(2, streams))

    def _tables(self) -> bytes:
        return b"".join(
            packet for pid, section in self._sections for packet in self._packets(pid, section, pad=b"\xff")
        )

    def _packets_of(self, sample: Sample) -> Iterator[bytes]:
        codec, is_leading = self._tracks[sample.track], sample.track == self._leading
        if sample.key and codec.is_video:
            yield self._tables()
        to_90_khz = _CLOCK_HZ / codec.clock_rate_hz
        ticks = self._ticks(sample)
        dts = round(ticks * to_90_khz)
        pts = round((ticks + sample.pts - sample.dts) * to_90_khz)
        content = _content(codec, sample)
        times = _time(2, pts + 2 * _LEAD)
        if codec.is_video:
            times = _time(3, pts + 2 * _LEAD) + _time(1, dts + _LEAD)
        pes = _pes(_STREAM_ID.get(codec.name, _PRIVATE_ID), times, content)
        reference = dts if is_leading else None
        yield from self._packets(self._pids[sample.track], pes, reference=reference, key=sample.key)

    def _packets(
        self, pid: int, data: bytes, *, pad: bytes = b"", reference: int | None = None, key: bool = False
    ) -> Iterator[bytes]:
        position, first = 0, True
        while position < len(data):
            field = _reference(reference, key=key) if first and reference is not None else b""
            room = _PACKET_BYTES - 4 - len(field)
            chunk = data[position : position + room]
            position += len(chunk)
            missing = room - len(chunk)
            if pad:
                chunk += pad * missing
            elif missing:
                field = _stuffed(field, missing)
            yield self._head(pid, first=first, adapted=bool(field)) + field + chunk
            first = False

    def _head(self, pid: int, *, first: bool, adapted: bool) -> bytes:
        counter = self._counters.get(pid, 0)
        self._counters[pid] = (counter + 1) & 0x0F
        return struct.pack(
            ">BHB", 0x47, (0x4000 if first else 0) | pid, (0x30 if adapted else 0x10) | counter
        )


def _content(codec: Codec, sample: Sample) -> bytes:
    if codec.is_video:
        nalus = (_DELIMITER[codec.name], *(sample.sets if sample.key else ()), *sample.units)
        return b"".join(_START + nalu for nalu in nalus)
    (data,) = sample.units
    if codec.aac is not None:
        return codec.aac.with_header(data)
    return in_transport_stream(data) if codec.name == "Opus" else data


def _pes(stream_id: int, times: bytes, content: bytes) -> bytes:
    """Return a packet of an elementary stream; only that of a video may have no size."""
    flags = 0xC0 if len(times) > 5 else 0x80
    size = 3 + len(times) + len(content)
    size = 0 if stream_id == _VIDEO_ID or size > 0xFFFF else size
    return struct.pack(">IHBBB", 0x0000_0100 | stream_id, size, 0x80, flags, len(times)) + times + content


def _reference(base: int, *, key: bool) -> bytes:
    base &= (1 << 33) - 1
    return bytes([7, 0x50 if key else 0x10]) + struct.pack(">IH", base >> 1, (base & 1) << 15 | 0x7E00)


def _stuffed(field: bytes, missing: int) -> bytes:
    """Return the adaptation field lengthened by `missing` bytes; an absent field has no length byte yet."""
    if not field:
        return b"\x00" if missing == 1 else bytes([missing - 1, 0]) + b"\xff" * (missing - 2)
    return bytes([field[0] + missing]) + field[1:] + b"\xff" * missing

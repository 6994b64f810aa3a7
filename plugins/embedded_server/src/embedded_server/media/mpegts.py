"""MPEG transport stream with one video track (ISO/IEC 13818-1)."""

import struct
from collections.abc import Iterator, Sequence

from embedded_server.media.container import Container
from embedded_server.media.samples import Sample

__all__ = ("MpegTs",)

_PAT_PID, _PMT_PID, _VIDEO_PID = 0, 0x1000, 0x0100
_STREAM_TYPE = {"H264": 0x1B, "H265": 0x24}
_DELIMITER = {"H264": b"\x09\xf0", "H265": b"\x46\x01\x50"}
_LEAD = 90_000  # one second at 90 kHz, from clock reference to decoding and again to presentation
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


def _time(marker: int, value: int) -> bytes:
    value &= (1 << 33) - 1
    return struct.pack(
        ">BHH", marker << 4 | value >> 29 & 0x0E | 1, value >> 14 & 0xFFFE | 1, value << 1 & 0xFFFE | 1
    )


class MpegTs(Container):
    def __init__(self, codec: str, clock_rate_hz: int) -> None:
        self._codec = codec
        self._to_90_khz = 90_000 / clock_rate_hz
        self._zero = 0
        self._counters: dict[int, int] = {}

    def header(self, sample: Sample) -> bytes:
        self._zero = sample.dts
        return self._tables()

    def correction(self, duration_s: float) -> None:
        return None

    def part(self, samples: Sequence[Sample]) -> bytes:
        return b"".join(packet for sample in samples for packet in self._picture(sample))

    def _tables(self) -> bytes:
        program = struct.pack(">HH", 1, 0xE000 | _PMT_PID)
        video = struct.pack(
            ">HHBHH", 0xE000 | _VIDEO_PID, 0xF000, _STREAM_TYPE[self._codec], 0xE000 | _VIDEO_PID, 0xF000
        )
        sections = ((_PAT_PID, _section(0, program)), (_PMT_PID, _section(2, video)))
        return b"".join(
            packet for pid, section in sections for packet in self._packets(pid, section, pad=b"\xff")
        )

    def _picture(self, sample: Sample) -> Iterator[bytes]:
        if sample.key:
            yield self._tables()
        dts = round((sample.dts - self._zero) * self._to_90_khz)
        pts = round((sample.pts - self._zero) * self._to_90_khz)
        nalus = (_DELIMITER[self._codec], *(sample.sets if sample.key else ()), *sample.nalus)
        times = _time(3, pts + 2 * _LEAD) + _time(1, dts + _LEAD)
        pes = b"\x00\x00\x01\xe0\x00\x00\x80\xc0" + bytes([len(times)]) + times
        pes += b"".join(_START + nalu for nalu in nalus)
        yield from self._packets(_VIDEO_PID, pes, reference=dts, key=sample.key)

    def _packets(
        self, pid: int, data: bytes, *, pad: bytes = b"", reference: int | None = None, key: bool = False
    ) -> Iterator[bytes]:
        position, first = 0, True
        while position < len(data):
            field = self._reference(reference, key=key) if first and reference is not None else b""
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

    def _reference(self, base: int, *, key: bool) -> bytes:
        base &= (1 << 33) - 1
        return bytes([7, 0x50 if key else 0x10]) + struct.pack(">IH", base >> 1, (base & 1) << 15 | 0x7E00)


def _stuffed(field: bytes, missing: int) -> bytes:
    """Return the adaptation field lengthened by `missing` bytes; an absent field has no length byte yet."""
    if not field:
        return b"\x00" if missing == 1 else bytes([missing - 1, 0]) + b"\xff" * (missing - 2)
    return bytes([field[0] + missing]) + field[1:] + b"\xff" * missing

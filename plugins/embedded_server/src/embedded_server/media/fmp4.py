"""Fragmented MP4 with one video track (ISO/IEC 14496-12, -15)."""

import struct
from collections.abc import Sequence

from embedded_server.media import h264, h265
from embedded_server.media.container import Container
from embedded_server.media.samples import Sample

__all__ = ("Fmp4",)

_MOVIE_TIMESCALE = 1000
_IDENTITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SYNC_FLAGS = 0x0200_0000  # depends on no other sample
_OTHER_FLAGS = 0x0101_0000  # depends on others, is not a sync sample
_MVHD_DURATION_OFFSET = 4 + 4 + 12  # after the type: version and flags, two times, the timescale


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _prefixed(nalus: Sequence[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(nalu)) + nalu for nalu in nalus)


class Fmp4(Container):
    def __init__(self, codec: str, clock_rate_hz: int) -> None:
        self._codec = codec
        self._timescale = clock_rate_hz
        self._sequence = 0
        self._zero = 0
        self._duration_offset = 0

    def header(self, sample: Sample) -> bytes:
        self._zero = sample.dts
        brands = struct.pack(">4sI4s4s4s", b"mp42", 1, b"mp41", b"mp42", b"isom")
        data = _box(b"ftyp", brands) + self._moov(sample.sets)
        self._duration_offset = data.index(b"mvhd") + _MVHD_DURATION_OFFSET
        return data

    def correction(self, duration_s: float) -> tuple[int, bytes]:
        return self._duration_offset, struct.pack(
            ">I", min(round(duration_s * _MOVIE_TIMESCALE), 0xFFFF_FFFF)
        )

    def part(self, samples: Sequence[Sample]) -> bytes:
        self._sequence += 1
        media = [_prefixed(sample.nalus) for sample in samples]
        moof = self._moof(samples, media, 0)
        moof = self._moof(samples, media, len(moof) + 8)
        return moof + _box(b"mdat", *media)

    def _moof(self, samples: Sequence[Sample], media: Sequence[bytes], data_offset: int) -> bytes:
        entries = b"".join(
            struct.pack(
                ">IIIi",
                sample.duration,
                len(data),
                _SYNC_FLAGS if sample.key else _OTHER_FLAGS,
                sample.pts - sample.dts,
            )
            for sample, data in zip(samples, media, strict=True)
        )
        traf = _box(
            b"traf",
            _full(b"tfhd", 0, 0x020000, struct.pack(">I", 1)),  # default-base-is-moof
            _full(b"tfdt", 1, 0, struct.pack(">Q", samples[0].dts - self._zero)),
            # offset, duration, size, flags and composition time of each
            _full(b"trun", 1, 0x000F01, struct.pack(">Ii", len(samples), data_offset), entries),
        )
        return _box(b"moof", _full(b"mfhd", 0, 0, struct.pack(">I", self._sequence)), traf)

    def _moov(self, sets: tuple[bytes, ...]) -> bytes:
        width, height, entry = self._sample_entry(sets)
        mvhd = struct.pack(">IIIIIHHII", 0, 0, _MOVIE_TIMESCALE, 0, 0x10000, 0x100, 0, 0, 0)
        mvhd += _IDENTITY + bytes(24) + struct.pack(">I", 2)
        trex = _full(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))
        return _box(
            b"moov", _full(b"mvhd", 0, 0, mvhd), self._trak(width, height, entry), _box(b"mvex", trex)
        )

    def _trak(self, width: int, height: int, entry: bytes) -> bytes:
        tkhd = struct.pack(">IIIIIIIHHHH", 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)
        tkhd += _IDENTITY + struct.pack(">II", width << 16, height << 16)
        empty = [_full(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
        stbl = _box(b"stbl", _full(b"stsd", 0, 0, struct.pack(">I", 1), entry), *empty[:2], _stsz(), empty[2])
        dref = _full(b"dref", 0, 0, struct.pack(">I", 1), _full(b"url ", 0, 1))
        minf = _box(b"minf", _full(b"vmhd", 0, 1, bytes(8)), _box(b"dinf", dref), stbl)
        mdhd = _full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, self._timescale, 0, 0x55C4, 0))
        hdlr = _full(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"VideoHandler\0")
        return _box(b"trak", _full(b"tkhd", 0, 3, tkhd), _box(b"mdia", mdhd, hdlr, minf))

    def _sample_entry(self, sets: tuple[bytes, ...]) -> tuple[int, int, bytes]:
        if not sets:
            raise h264.BitstreamError("The parameter sets of the stream are unknown.")
        if self._codec == "H264":
            sps = h264.parse_sps(sets[0])
            return sps.width, sps.height, _visual(b"avc1", sps.width, sps.height, _avcc(sets, sps))
        sps_h265 = h265.parse_sps(sets[1])
        size = sps_h265.width, sps_h265.height
        return *size, _visual(b"hvc1", *size, _hvcc(sets, sps_h265))


def _stsz() -> bytes:
    return _full(b"stsz", 0, 0, bytes(8))


def _visual(kind: bytes, width: int, height: int, configuration: bytes) -> bytes:
    head = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", width, height)
    head += struct.pack(">IIIH", 0x480000, 0x480000, 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1)
    return _box(kind, head, configuration)


def _avcc(sets: tuple[bytes, ...], parsed: h264.Sps) -> bytes:
    sps, pps = sets
    arrays = b"\xe1" + struct.pack(">H", len(sps)) + sps + b"\x01" + struct.pack(">H", len(pps)) + pps
    data = b"\x01" + sps[1:4] + b"\xff" + arrays
    if sps[1] in (100, 110, 122, 144, 244):
        data += bytes([0xFC | parsed.chroma, 0xF8 | parsed.luma_depth, 0xF8 | parsed.chroma_depth, 0])
    return _box(b"avcC", data)


def _hvcc(sets: tuple[bytes, ...], sps: h265.Sps) -> bytes:
    data = b"\x01" + sps.profile_tier_level + b"\xf0\x00\xfc"
    data += bytes([0xFC | sps.chroma, 0xF8 | sps.luma_depth, 0xF8 | sps.chroma_depth]) + bytes(2)
    data += bytes([sps.sub_layers << 3 | sps.nested << 2 | 3, len(sets)])
    for kind, nalu in zip((32, 33, 34), sets, strict=True):
        data += struct.pack(">BHH", 0x80 | kind, 1, len(nalu)) + nalu
    return _box(b"hvcC", data)

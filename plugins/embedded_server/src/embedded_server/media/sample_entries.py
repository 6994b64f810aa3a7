"""Boxes that describe the samples of a track in MP4 (ISO/IEC 14496-12, -14 and -15, ISO/IEC 23003-5, Opus in ISOBMFF)."""

import struct
from dataclasses import dataclass

from embedded_server.media import h264, h265
from embedded_server.media.codecs import Codec
from embedded_server.media.mp4_boxes import box, full_box

__all__ = ("SampleEntry", "sample_entry")


@dataclass(frozen=True, slots=True)
class SampleEntry:
    """Sample entry of a track; the size is that of the pictures, 0 for sound."""

    data: bytes
    width: int = 0
    height: int = 0


def sample_entry(codec: Codec, sets: tuple[bytes, ...]) -> SampleEntry:
    """Return the sample entry of a track; `sets` are the parameter sets of a video.

    Raises:
        BitstreamError: the parameter sets are missing or invalid.
    """
    if codec.is_video:
        return _video(codec, sets)
    if codec.aac is not None:
        rate_hz, channels = codec.aac.sample_rate_hz, codec.aac.channels
        return SampleEntry(_audible(b"mp4a", channels, rate_hz, _esds(codec.aac.config)))
    if codec.name == "Opus":
        head = struct.pack(">BBHIhB", 0, codec.channels, 0, codec.clock_rate_hz, 0, 0)
        return SampleEntry(_audible(b"Opus", codec.channels, codec.clock_rate_hz, box(b"dOps", head)))
    pcm = full_box(b"pcmC", 0, 0, bytes([0, 16]))  # most significant byte first, 16 bits
    return SampleEntry(_audible(b"ipcm", codec.channels, codec.clock_rate_hz, pcm))


def _video(codec: Codec, sets: tuple[bytes, ...]) -> SampleEntry:
    if not sets:
        raise h264.BitstreamError("The parameter sets of the stream are unknown.")
    if codec.name == "H264":
        sps = h264.parse_sps(sets[0])
        return SampleEntry(_visual(b"avc1", sps.width, sps.height, _avcc(sets, sps)), sps.width, sps.height)
    found = h265.parse_sps(sets[1])
    data = _visual(b"hvc1", found.width, found.height, _hvcc(sets, found))
    return SampleEntry(data, found.width, found.height)


def _visual(kind: bytes, width: int, height: int, configuration: bytes) -> bytes:
    head = bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HH", width, height)
    head += struct.pack(">IIIH", 0x480000, 0x480000, 0, 1) + bytes(32) + struct.pack(">Hh", 24, -1)
    return box(kind, head, configuration)


def _audible(kind: bytes, channels: int, rate_hz: int, configuration: bytes) -> bytes:
    head = bytes(6) + struct.pack(">H", 1) + bytes(8)
    head += struct.pack(">HHII", channels, 16, 0, min(rate_hz, 0xFFFF) << 16)
    return box(kind, head, configuration)


def _esds(config: bytes) -> bytes:
    decoder = struct.pack(">BB", 0x40, 0x15) + bytes(3) + struct.pack(">II", 0, 0) + _descriptor(5, config)
    content = struct.pack(">HB", 1, 0) + _descriptor(4, decoder) + _descriptor(6, b"\x02")
    return full_box(b"esds", 0, 0, _descriptor(3, content))


def _descriptor(tag: int, content: bytes) -> bytes:
    size = len(content)
    return (
        bytes([tag, 0x80 | size >> 21 & 0x7F, 0x80 | size >> 14 & 0x7F, 0x80 | size >> 7 & 0x7F, size & 0x7F])
        + content
    )


def _avcc(sets: tuple[bytes, ...], parsed: h264.Sps) -> bytes:
    sps, pps = sets
    arrays = b"\xe1" + struct.pack(">H", len(sps)) + sps + b"\x01" + struct.pack(">H", len(pps)) + pps
    data = b"\x01" + sps[1:4] + b"\xff" + arrays
    if sps[1] in (100, 110, 122, 144, 244):
        data += bytes([0xFC | parsed.chroma, 0xF8 | parsed.luma_depth, 0xF8 | parsed.chroma_depth, 0])
    return box(b"avcC", data)


def _hvcc(sets: tuple[bytes, ...], sps: h265.Sps) -> bytes:
    data = b"\x01" + sps.profile_tier_level + b"\xf0\x00\xfc"
    data += bytes([0xFC | sps.chroma, 0xF8 | sps.luma_depth, 0xF8 | sps.chroma_depth]) + bytes(2)
    data += bytes([sps.sub_layers << 3 | sps.nested << 2 | 3, len(sets)])
    for kind, nalu in zip((32, 33, 34), sets, strict=True):
        data += struct.pack(">BHH", 0x80 | kind, 1, len(nalu)) + nalu
    return box(b"hvcC", data)

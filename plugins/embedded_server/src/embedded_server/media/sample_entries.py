"""Boxes that describe the samples of a track in MP4 (ISO/IEC 14496-12, -14 and -15, ISO/IEC 23003-5, Opus in ISOBMFF)."""

import struct
from dataclasses import dataclass

from agent_core.plugin import VideoCodec
from agent_core.plugin.video import BitstreamError, configuration
from embedded_server.media.codecs import Codec
from embedded_server.media.mp4_boxes import box, full_box

__all__ = ("SampleEntry", "sample_entry")

#: Sample entry, and box with the decoder's configuration, of each video.
_BOXES = {VideoCodec.H264: (b"avc1", b"avcC"), VideoCodec.H265: (b"hvc1", b"hvcC")}


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
        raise BitstreamError("The parameter sets of the stream are unknown.")
    found = configuration(codec.video, sets)
    entry, box_name = _BOXES[codec.video]
    data = _visual(entry, found.width, found.height, box(box_name, found.record))
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

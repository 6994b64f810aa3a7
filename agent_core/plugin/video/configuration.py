"""Decoder configuration records of containers (ISO/IEC 14496-15): `avcC` of H.264 and `hvcC` of H.265."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from agent_core.base.models import VideoCodec
from agent_core.plugin.video import h264, h265, nal
from agent_core.plugin.video.bits import BitstreamError

__all__ = ("Configuration", "configuration")

#: Profiles whose record also has the chroma format and the depths.
_HIGH = (100, 110, 122, 144, 244)
#: Room of the record's counters: sets of one type.
_MOST_SETS = {7: 31, 8: 255, 32: 15, 33: 15, 34: 63}


@dataclass(frozen=True, slots=True)
class Configuration:
    """Size of the pictures in pixels, as they are shown, and the record, whose units have lengths of four bytes."""

    width: int
    height: int
    record: bytes


def configuration(codec: VideoCodec, sets: Sequence[bytes]) -> Configuration:
    """Return the configuration of a decoder for parameter `sets`, those of a type in the order of their use.

    Raises:
        BitstreamError: a set is missing, damaged or too long, or there are too many.
    """
    kinds = nal.SETS[codec]
    found = [[each for each in sets if each and nal.nalu_type(codec, each) == kind] for kind in kinds]
    if not all(0 < len(group) <= _MOST_SETS[kind] for group, kind in zip(found, kinds, strict=True)):
        raise BitstreamError("Parameter sets are missing, or there are too many.")
    if any(len(each) > 0xFFFF for group in found for each in group):
        raise BitstreamError("A parameter set is too long.")
    return _avcc(*found) if codec is VideoCodec.H264 else _hvcc(found)


def _avcc(sps: list[bytes], pps: list[bytes]) -> Configuration:
    first, parsed = sps[0], h264.parse_sps(sps[0])
    data = b"\x01" + first[1:4] + b"\xff" + bytes([0xE0 | len(sps)]) + _with_sizes(sps)
    data += bytes([len(pps)]) + _with_sizes(pps)
    if parsed.profile_idc in _HIGH:
        data += bytes([0xFC | parsed.chroma, 0xF8 | parsed.luma_depth, 0xF8 | parsed.chroma_depth, 0])
    return Configuration(parsed.width, parsed.height, data)


def _hvcc(found: list[list[bytes]]) -> Configuration:
    sps = h265.parse_sps(found[1][0])
    data = b"\x01" + sps.profile_tier_level + b"\xf0\x00\xfc"
    data += bytes([0xFC | sps.chroma, 0xF8 | sps.luma_depth, 0xF8 | sps.chroma_depth]) + bytes(2)
    data += bytes([sps.sub_layers << 3 | sps.nested << 2 | 3, len(found)])
    for kind, group in zip(nal.SETS[VideoCodec.H265], found, strict=True):
        data += struct.pack(">BH", 0x80 | kind, len(group)) + _with_sizes(group)
    return Configuration(sps.width, sps.height, data)


def _with_sizes(sets: list[bytes]) -> bytes:
    return b"".join(struct.pack(">H", len(each)) + each for each in sets)

"""NAL units of H.264 (7.3.1, 7.4.1) and H.265 (7.3.1, 7.4.2): types, order and framing."""

from collections.abc import Mapping

from agent_core.base.models import VideoCodec

__all__ = (
    "HEAD_BYTES",
    "SETS",
    "SUPPLEMENT",
    "begins_picture",
    "continues_picture",
    "is_key",
    "is_slice",
    "nalu_type",
    "precedes_picture",
    "precedes_slice",
    "split",
)

#: Types of the parameter sets, in the order in which a container has them.
SETS: Mapping[VideoCodec, tuple[int, ...]] = {
    VideoCodec.H264: (7, 8),
    VideoCodec.H265: (32, 33, 34),
}
_SLICES = {VideoCodec.H264: range(1, 6), VideoCodec.H265: range(32)}
_KEYS = {VideoCodec.H264: frozenset((5,)), VideoCodec.H265: frozenset(range(16, 22))}
_DELIMITER = {VideoCodec.H264: 9, VideoCodec.H265: 35}
#: Types of messages that precede a picture.
SUPPLEMENT: Mapping[VideoCodec, int] = {VideoCodec.H264: 6, VideoCodec.H265: 39}
#: Types above these, and type 0 of H.264, belong to packets (RFC 6184, RFC 7798) or are for private use.
_LAST_TYPE = {VideoCodec.H264: 23, VideoCodec.H265: 47}
#: Unit before each slice of cameras with scalable video (SVC), such as conference cameras.
_PREFIX = 14
#: Slices that may carry a whole picture; partitions B and C of H.264 (3, 4) never come first.
_WHOLE_H264 = frozenset((1, 2, 5))
_START = b"\0\0\1"
#: Bytes of a header.
HEAD_BYTES: Mapping[VideoCodec, int] = {VideoCodec.H264: 1, VideoCodec.H265: 2}


def nalu_type(codec: VideoCodec, nalu: bytes) -> int:
    return nalu[0] & 0x1F if codec is VideoCodec.H264 else (nalu[0] >> 1) & 0x3F


def is_key(codec: VideoCodec, nalu: bytes) -> bool:
    return nalu_type(codec, nalu) in _KEYS[codec]


def is_slice(codec: VideoCodec, nalu: bytes) -> bool:
    return nalu_type(codec, nalu) in _SLICES[codec]


def begins_picture(codec: VideoCodec, nalu: bytes) -> bool:
    """Return True if a unit that follows a slice proves that a new picture has begun."""
    kind = nalu_type(codec, nalu)
    return kind == _DELIMITER[codec] or kind in SETS[codec]


def precedes_picture(codec: VideoCodec, nalu: bytes) -> bool:
    """Return True if a unit without a picture of its own belongs to the picture that follows."""
    return begins_picture(codec, nalu) or nalu_type(codec, nalu) == SUPPLEMENT[codec]


def precedes_slice(codec: VideoCodec, nalu: bytes) -> bool:
    """Return True for the prefix of a slice (H.264, annex F): it belongs to the picture of the slice after it."""
    return codec is VideoCodec.H264 and nalu_type(codec, nalu) == _PREFIX


def continues_picture(codec: VideoCodec, nalu: bytes) -> bool:
    """Return True if a unit belongs to the picture before it, whatever the packets say."""
    if not is_slice(codec, nalu):
        return not precedes_picture(codec, nalu)
    if codec is VideoCodec.H264:
        # first_mb_in_slice is 0, an Exp-Golomb number whose first bit is 1.
        return nalu_type(codec, nalu) not in _WHOLE_H264 or not nalu[1] & 0x80
    return not nalu[2] & 0x80  # first_slice_segment_in_pic_flag


def split(codec: VideoCodec, data: bytes) -> tuple[bytes, ...]:
    """Return the NAL units in `data`, which is one unit or, from deviating senders, Annex B.

    No unit contains a start code or ends with a zero byte, so whole units stay as they are. Fragments of a header and
    types that no bitstream has are dropped.
    """
    parts = data.split(_START) if _START in data else (data,)
    units = (part.rstrip(b"\0") for part in parts)
    return tuple(unit for unit in units if len(unit) > HEAD_BYTES[codec] and _is_stored(codec, unit))


def _is_stored(codec: VideoCodec, nalu: bytes) -> bool:
    kind = nalu_type(codec, nalu)
    return kind <= _LAST_TYPE[codec] and (kind > 0 or codec is VideoCodec.H265)

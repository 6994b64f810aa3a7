"""NAL units of H.264 (7.3.1, 7.4.1) and H.265 (7.3.1, 7.4.2): types, order and framing."""

from collections.abc import Iterator, Mapping

__all__ = (
    "MAX_SET_BYTES",
    "SETS",
    "aggregated",
    "begins_picture",
    "continues_picture",
    "is_key",
    "is_slice",
    "nalu_type",
    "precedes_picture",
    "split",
)

#: Types of the parameter sets, in the order in which a container has them.
SETS: Mapping[str, tuple[int, ...]] = {"H264": (7, 8), "H265": (32, 33, 34)}
#: A container has 16 bits for the length of a set; typical sets have about 50 bytes.
MAX_SET_BYTES = 4096
_SLICES = {"H264": range(1, 6), "H265": range(32)}
_KEYS = {"H264": frozenset((5,)), "H265": frozenset(range(16, 22))}
_DELIMITER = {"H264": 9, "H265": 35}
_SUPPLEMENT = {"H264": 6, "H265": 39}
#: Types above these, and type 0 of H.264, belong to packets (RFC 6184, RFC 7798) or are for private use.
_LAST_TYPE = {"H264": 23, "H265": 47}
#: Slices that may carry a whole picture; partitions B and C of H.264 (3, 4) never come first.
_WHOLE_H264 = frozenset((1, 2, 5))
_START = b"\0\0\1"
_HEAD_BYTES = {"H264": 1, "H265": 2}


def nalu_type(codec: str, nalu: bytes) -> int:
    return nalu[0] & 0x1F if codec == "H264" else (nalu[0] >> 1) & 0x3F


def is_key(codec: str, nalu: bytes) -> bool:
    return nalu_type(codec, nalu) in _KEYS[codec]


def is_slice(codec: str, nalu: bytes) -> bool:
    return nalu_type(codec, nalu) in _SLICES[codec]


def begins_picture(codec: str, nalu: bytes) -> bool:
    """Return whether a unit that follows a slice proves that a new picture has begun."""
    kind = nalu_type(codec, nalu)
    return kind == _DELIMITER[codec] or kind in SETS[codec]


def precedes_picture(codec: str, nalu: bytes) -> bool:
    """Return whether a unit without a picture of its own belongs to the picture that follows."""
    return begins_picture(codec, nalu) or nalu_type(codec, nalu) == _SUPPLEMENT[codec]


def continues_picture(codec: str, nalu: bytes) -> bool:
    """Return whether a unit belongs to the picture before it, whatever the packets say."""
    if not is_slice(codec, nalu):
        return not precedes_picture(codec, nalu)
    if codec == "H264":
        # first_mb_in_slice is 0, an Exp-Golomb number whose first bit is 1.
        return nalu_type(codec, nalu) not in _WHOLE_H264 or not nalu[1] & 0x80
    return not nalu[2] & 0x80  # first_slice_segment_in_pic_flag


def split(codec: str, data: bytes) -> tuple[bytes, ...]:
    """Return the NAL units in `data`, which is one unit or, from deviating senders, Annex B.

    No unit contains a start code or ends with a zero byte, so whole units stay as they are. Fragments of a header and
    types that no bitstream has are dropped.
    """
    parts = data.split(_START) if _START in data else (data,)
    units = (part.rstrip(b"\0") for part in parts)
    return tuple(unit for unit in units if len(unit) > _HEAD_BYTES[codec] and _is_stored(codec, unit))


def aggregated(payload: bytes, start: int) -> Iterator[tuple[bytes, bool]]:
    """Return the contents of an aggregation packet, of which the units begin at `start`, and whether each is complete."""
    while start + 2 < len(payload):
        size = int.from_bytes(payload[start : start + 2], "big")
        unit = payload[start + 2 : start + 2 + size]
        yield unit, len(unit) == size
        start += 2 + size


def _is_stored(codec: str, nalu: bytes) -> bool:
    kind = nalu_type(codec, nalu)
    return kind <= _LAST_TYPE[codec] and (kind > 0 or codec == "H265")

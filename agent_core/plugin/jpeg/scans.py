"""Completeness of a picture by its scans and restart markers.

Apart from `structure`, which does not read what the headers of frames and scans say.
"""

import re
import struct

from agent_core.plugin.jpeg.structure import DRI, SOF, SOS, header_segments, scan_stop

__all__ = ("has_all_restarts", "has_all_scans")

#: Coefficients of a block of 8x8 samples (T.81, A.3.3).
_COEFFICIENTS = 64
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
#: Progressive start-of-frame markers (T.81, table B.1).
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})


def has_all_scans(data: bytes) -> bool:
    """Check that the scans of a well-formed JPEG contain all coefficients of all components to the last bit.

    A picture that was cut off between two scans lacks some, though a decoder shows it without complaint.
    """
    try:
        missing = _missing_bits(data)
    except (ValueError, LookupError):  # a header that does not suit its own picture
        return False
    return bool(missing) and not any(any(bits) for bits in missing.values())


def _missing_bits(data: bytes) -> dict[int, list[int]]:
    """Return, for each component, the number of low bits that its 64 coefficients lack; at first all bits."""
    segments = header_segments(data)
    frame = min(start for marker, start, _ in segments if marker in SOF)
    missing = {data[frame + 10 + 3 * number]: [16] * _COEFFICIENTS for number in range(data[frame + 9])}
    is_progressive = data[frame + 1] in _PROGRESSIVE
    for marker, start, _ in (segments[-1], *scan_stop(data, segments[-1][2]).between):
        if marker == SOS:
            names = data[start + 5 : start + 5 + 2 * data[start + 4] : 2]
            first, last, bits = data[start + 5 + 2 * len(names) : start + 8 + 2 * len(names)]
            low = bits & 0x0F if is_progressive else 0
            indices = range(first, min(last, 63) + 1) if is_progressive else range(_COEFFICIENTS)
            for name in names:
                missing[name] = [low if at in indices else each for at, each in enumerate(missing[name])]
    return missing


def has_all_restarts(data: bytes) -> bool:
    """Check that a well-formed JPEG of one scan has all its restart markers, in order, and at least one.

    Data that were lost show as a gap in their numbers, unless all of it lay between two markers or behind the last.
    """
    try:
        expected = _restarts(data)
    except (ValueError, LookupError, struct.error):
        return False
    found = [marker[0] - 0xD0 for marker in _RESTART.findall(data, header_segments(data)[-1][2])]
    return bool(found) and found == [number % 8 for number in range(expected)]


def _restarts(data: bytes) -> int:
    """Return the number of restart markers that the header promises (T.81, A.2.3 and E.1.4)."""
    segments = header_segments(data)
    frame = min(start for marker, start, _ in segments if marker in SOF)
    (interval,) = struct.unpack_from(
        ">H", data, max(start for marker, start, _ in segments if marker == DRI) + 4
    )
    height, width, count = struct.unpack_from(">HHB", data, frame + 5)
    factors = [data[frame + 11 + 3 * number] for number in range(count)] if count > 1 else [0x11]
    columns = -(-width // (8 * max(each >> 4 for each in factors)))
    rows = -(-height // (8 * max(each & 0x0F for each in factors)))
    return -(-columns * rows // interval) - 1 if interval else 0

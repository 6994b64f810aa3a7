"""Completeness of a picture of several scans: which coefficients its scans contain.

Apart from `structure`, which does not read what the headers of scans say.
"""

from agent_core.plugin.jpeg.structure import SOF, SOS, header_segments, scan_stop

__all__ = ("has_all_scans",)

#: Coefficients of a block of 8x8 samples (T.81, A.3.3).
_COEFFICIENTS = 64
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

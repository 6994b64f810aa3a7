"""KLV data (SMPTE ST 336), as far as its packets need it: where a unit begins and ends.

Apart from `frames`, so that the rules of KLV are in one place, without those of RTP.
"""

__all__ = ("begins_unit", "whole_until")

#: First bytes of each universal label (SMPTE ST 298).
_LABEL = b"\x06\x0e\x2b\x34"
_KEY_BYTES = 16


def begins_unit(data: bytes) -> bool:
    """Return whether data starts with a universal label."""
    return bytes(data[:4]) == _LABEL


def whole_until(data: bytes | bytearray, at: int) -> int:
    """Return the end of the whole items in data, of which the first one begins at `at`.

    A caller that appends to data and passes the former result looks at no item twice.
    """
    while at < len(data):
        end = at + _KEY_BYTES
        if end >= len(data):
            return at
        first = data[end]
        size_bytes = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data[end + 1 : end + 1 + size_bytes], "big") if size_bytes else first
        end += 1 + size_bytes + length
        if end > len(data):
            return at
        at = end
    return at

"""KLV data (SMPTE ST 336), as far as its packets need it: where a unit begins and ends.

Apart from `frames`, so that the rules of KLV are in one place, without those of RTP.
"""

__all__ = ("begins_unit", "is_whole")

#: First bytes of each universal label (SMPTE ST 298).
_LABEL = b"\x06\x0e\x2b\x34"
_KEY_BYTES = 16


def begins_unit(data: bytes) -> bool:
    """Return whether data starts with a universal label."""
    return bytes(data[:4]) == _LABEL


def is_whole(data: bytes | bytearray) -> bool:
    """Return whether data, which begins with a key, has exactly the bytes that the lengths in it specify."""
    at = 0
    while at < len(data):
        at += _KEY_BYTES
        if at >= len(data):
            return False
        first = data[at]
        size_bytes = first & 0x7F if first & 0x80 else 0
        length = int.from_bytes(data[at + 1 : at + 1 + size_bytes], "big") if size_bytes else first
        at += 1 + size_bytes + length
    return at == len(data)

"""G.711 decoded to 16 bits (ITU-T G.711), because MP4 has no box for it.

Apart from `fmp4`, so that every code is compared with FFmpeg's decoder without a file.
"""

from collections.abc import Callable

__all__ = ("linear",)


def _mu_law(code: int) -> int:
    code = ~code & 0xFF
    value = ((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)
    return 0x84 - value if code & 0x80 else value - 0x84


def _a_law(code: int) -> int:
    code ^= 0x55
    segment, value = code >> 4 & 7, (code & 0x0F) << 4
    value = value + 8 if segment == 0 else value + 0x108 << segment - 1
    return value if code & 0x80 else -value


def _tables(decode: Callable[[int], int]) -> tuple[bytes, bytes]:
    """Return the high and the low byte of each code."""
    values = [decode(code) & 0xFFFF for code in range(256)]
    return bytes(value >> 8 for value in values), bytes(value & 0xFF for value in values)


_MU, _A = _tables(_mu_law), _tables(_a_law)


def linear(data: bytes, *, mu_law: bool) -> bytes:
    """Return the samples with 16 bits each, most significant byte first."""
    high, low = _MU if mu_law else _A
    out = bytearray(2 * len(data))
    out[::2], out[1::2] = data.translate(high), data.translate(low)
    return bytes(out)

"""Analog television standards by the names that `v4l2-ctl --list-standards` prints; values of V4L2_STD_*."""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType

__all__ = ("STANDARDS", "frame_interval", "is_one_system", "name_of")

_PAL, _NTSC, _SECAM = 0xFF, 0xB000, 0xFF0000
STANDARDS: Mapping[str, int] = MappingProxyType(
    {
        "PAL": _PAL,
        "NTSC": _NTSC,
        "SECAM": _SECAM,
        "PAL-BG": 0x7,
        "PAL-H": 0x8,
        "PAL-I": 0x10,
        "PAL-DK": 0xE0,
        "PAL-M": 0x100,
        "PAL-N": 0x200,
        "PAL-Nc": 0x400,
        "PAL-60": 0x800,
        "NTSC-M": 0x1000,
        "NTSC-M-JP": 0x2000,
        "NTSC-443": 0x4000,
        "NTSC-M-KR": 0x8000,
        "SECAM-B": 0x10000,
        "SECAM-G": 0x40000,
        "SECAM-H": 0x80000,
        "SECAM-DK": 0x320000,
        "SECAM-L": 0x400000,
        "SECAM-Lc": 0x800000,
    }
)
#: V4L2_STD_525_60 and V4L2_STD_625_50.
_525_LINES = 0x100 | 0x800 | _NTSC | 0x4000
_625_LINES = _PAL | 0x200 | 0x400 | _SECAM


def frame_interval(standard: int) -> Fraction | None:
    """Return the time between frames (seconds); None if the set `standard` is empty or has both numbers of lines."""
    if not is_one_system(standard):
        return None
    return Fraction(1001, 30000) if standard & _525_LINES else Fraction(1, 25)


def is_one_system(standard: int) -> bool:
    """Return True if all standards of the set have the same number of lines."""
    return bool(standard & _525_LINES) is not bool(standard & _625_LINES)


def name_of(standard: int) -> str:
    """Return the name of the first standard that has the whole set, else of one that the set has."""
    whole = (name for name, value in STANDARDS.items() if standard and standard & ~value == 0)
    part = (name for name, value in STANDARDS.items() if value & ~standard == 0)
    return next(whole, next(part, f"{standard:#x}"))

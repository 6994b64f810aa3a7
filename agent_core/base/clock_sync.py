"""Synchronisation of the host's clock, by the kernel's own estimate of its error."""

import ctypes
from dataclasses import dataclass

__all__ = ("ClockReading", "is_synchronised", "read_clock")

#: adjtimex(2): the kernel raises the estimate without synchronisation; from 16 s on, as timedated(8), it is unsynchronised.
_UNSYNCHRONISED_US = 16_000_000


class _Timex(ctypes.Structure):
    """Start of `struct timex`, with room for the rest of it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("frequency", ctypes.c_long),
        ("largest_error_us", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Largest error of the clock, in microseconds, as the kernel estimates it."""

    largest_error_us: int

    @property
    def is_synchronised(self) -> bool:
        return self.largest_error_us < _UNSYNCHRONISED_US


def read_clock() -> ClockReading | None:
    """Return the kernel's reading; None if this process may not have it. Changes nothing."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except AttributeError:
        return None
    return None if state < 0 else ClockReading(timex.largest_error_us)


def is_synchronised() -> bool:
    """Return True if the kernel says so; False also if this process may not ask."""
    reading = read_clock()
    return reading is not None and reading.is_synchronised

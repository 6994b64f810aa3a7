"""Calculation of a frame's exposure time from its buffer's time stamp; sans-I/O."""

__all__ = ("ExposureClock",)

#: V4L2_BUF_FLAG_TIMESTAMP_MASK and _MONOTONIC: the clock of the time stamp.
_CLOCK_MASK, _CLOCK_MONOTONIC = 0xE000, 0x2000
#: Tolerance for stamps slightly before the stream or after now, as interrupt times can be.
_TOLERANCE_S = 0.1


class ExposureClock:
    """Exposure times of one stream, started at `started_s` (monotonic).

    A buffer's flag marks its stamp as start of exposure (SOE) or end of frame (EOF), but `uvcvideo` sets SOE and stamps
    the first packet that arrives, after the exposure. Therefore `lead_s`, the longest time from the start of exposure
    to the stamp, is subtracted from both: a capture time may be too early, never too late. A lead of one frame
    interval, the longest possible exposure, delays a fresh picture by at most one interval.
    """

    def __init__(self, started_s: float, lead_s: float) -> None:
        self._started_s = started_s
        self._lead_s = lead_s

    def exposed_s(self, stamp_s: float, flags: int, now_s: float) -> float | None:
        """Return the start of exposure (monotonic); None if the stamp is of another clock or implausible."""
        if flags & _CLOCK_MASK != _CLOCK_MONOTONIC:
            return None
        if not self._started_s - _TOLERANCE_S <= stamp_s <= now_s + _TOLERANCE_S:
            return None
        return stamp_s - self._lead_s

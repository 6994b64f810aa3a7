"""From a buffer's time stamp to the moment of exposure; sans-I/O."""

__all__ = ("ExposureClock",)

#: V4L2_BUF_FLAG_TIMESTAMP_MASK and _MONOTONIC: which clock the stamp is of.
_CLOCK_MASK, _CLOCK_MONOTONIC = 0xE000, 0x2000
#: Stamps of interrupts that we see a little before they happened, or from before the stream: within this, still sane.
_TOLERANCE_S = 0.1


class ExposureClock:
    """Judges the stamps of one stream that was started at `started_s` (monotonic).

    A stamp is of the start of exposure (SOE) or of the end of the frame (EOF), says the buffer's flag; but `uvcvideo`
    says SOE and stamps the first packet that arrives, which is after the exposure. So `lead_s`, the time by which the
    exposure may have started earlier, is taken off either: a capture time may be too early, never too late. With one
    frame interval, the longest that an exposure lasts, a fresh picture costs at most one interval more.
    """

    def __init__(self, started_s: float, lead_s: float) -> None:
        self._started_s = started_s
        self._lead_s = lead_s

    def exposed_s(self, stamp_s: float, flags: int, now_s: float) -> float | None:
        """On the monotonic clock; None where the stamp is of another clock, or cannot be true."""
        if flags & _CLOCK_MASK != _CLOCK_MONOTONIC:
            return None
        if not self._started_s - _TOLERANCE_S <= stamp_s <= now_s + _TOLERANCE_S:
            return None
        return stamp_s - self._lead_s

"""Times of a stream's frames, derived from their capture times, without I/O.

Apart from `matroska`, so that the decision is tested without a stream.
"""

from collections.abc import Sequence

__all__ = ("Timeline", "squeezed")

#: Shortest distance of two frames: one tick of RTP's 90 kHz clock, rounded up. An encoder refuses equal times.
_LEAST_STEP_US = 12


def squeezed(captured_s: Sequence[float]) -> tuple[float, ...]:
    """Return the times of the frames with which a stream begins, whose exposures are `captured_s` (monotonic).

    The last one keeps its time and the others come right before it. With their own times, a player would show them one
    after the other and then remain behind by their length.
    """
    last = len(captured_s) - 1
    return tuple(captured_s[last] - (last - index) * _LEAST_STEP_US / 1e6 for index in range(last + 1))


class Timeline:
    """Increasing times of one stream's frames. A frame's time is its capture time, as long as these increase.

    If a capture time is not after the last time, the frame comes right after the last one. If it is earlier by a frame
    interval or more, the source has begun to measure time differently. The stream then continues one interval after the last
    frame, at the pace of the new times: a stream whose times stood still would stop players and recordings. Capture
    times count again once they are later than those of the stream.
    """

    def __init__(self, fps: float) -> None:
        self._interval_us = round(1e6 / fps)
        self._last_us = -self._interval_us
        self._shift_us = 0

    def time_us(self, captured_s: float) -> int:
        """Return the time in microseconds of the next frame, exposed at `captured_s` (seconds, monotonic)."""
        captured_us = max(round(captured_s * 1e6), 0)
        if captured_us - self._last_us >= _LEAST_STEP_US:
            self._shift_us = 0
        elif (ahead_us := captured_us + self._shift_us - self._last_us) < _LEAST_STEP_US:
            step_us = self._interval_us if ahead_us <= -self._interval_us else _LEAST_STEP_US
            self._shift_us += step_us - ahead_us
        self._last_us = captured_us + self._shift_us
        return self._last_us

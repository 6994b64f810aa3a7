"""Times of pictures without the jumps of the sender's clock."""

from collections.abc import Callable
from datetime import datetime

__all__ = ("Timeline",)

#: A reordered picture is at most this far behind the newest one: 15 pictures at 15 per second.
_MAX_BACK_S = 1.0
#: Networks delay packets, but never deliver them early: a picture that is this much earlier than any before has a wrong
#: time. Senders that begin with a burst of older pictures get ahead by one picture's duration at a time.
_MAX_AHEAD_S = 1.0
#: Pictures without a usable time before the clock is said to stand still.
_STANDSTILL_PICTURES = 30


class Timeline:
    """Converter of RTP time stamps to times that follow the clock of this host.

    A picture outside the timeline gets a time by its arrival. If the picture after it continues from there, the
    sender's clock has jumped, and the timeline goes on with the new clock; otherwise only that picture was wrong.

    Args:
        clock_rate_hz: the RTP clock's rate; all times are in its units.
        warn: is called with a sentence about a jump or a standstill.
    """

    def __init__(self, clock_rate_hz: int, warn: Callable[[str], None]) -> None:
        self._clock_rate_hz = clock_rate_hz
        self._warn = warn
        self._offset = 0
        self._candidate: int | None = None
        self._newest: int | None = None
        self._newest_arrived: datetime | None = None
        self._interval = clock_rate_hz // 30
        self._first_arrived: datetime | None = None
        self._highest_lead = 0
        self._estimates = 0

    def place(self, timestamp: int, arrived: datetime, *, may_go_back: bool) -> int:
        """Return the time of a picture; `may_go_back` says that it may be shown before pictures that came earlier."""
        if self._newest is None:
            self._first_arrived = arrived
            self._accept(timestamp, arrived)
            return timestamp
        for offset in (self._offset, self._candidate):
            if offset is not None and self._fits(timestamp + offset, arrived, may_go_back=may_go_back):
                self._adopt(offset)
                self._accept(timestamp + offset, arrived)
                return timestamp + offset
        return self._estimate(timestamp, arrived)

    def _fits(self, time: int, arrived: datetime, *, may_go_back: bool) -> bool:
        assert self._newest is not None  # noqa: S101 - `place` sets it first
        if time <= self._newest:
            return may_go_back and 0 < self._newest - time <= _MAX_BACK_S * self._clock_rate_hz
        return self._lead(time, arrived) <= self._highest_lead + _MAX_AHEAD_S * self._clock_rate_hz

    def _lead(self, time: int, arrived: datetime) -> int:
        """Return by how much the time is ahead of the arrival."""
        assert self._first_arrived is not None  # noqa: S101 - `place` sets it first
        return time - round((arrived - self._first_arrived).total_seconds() * self._clock_rate_hz)

    def _adopt(self, offset: int) -> None:
        if offset != self._offset:
            jump_s = (self._offset - offset) / self._clock_rate_hz
            self._warn(f"the times of the stream jumped by {jump_s:+.1f} s, continuing without the jump")
        self._offset, self._candidate, self._estimates = offset, None, 0

    def _accept(self, time: int, arrived: datetime) -> None:
        if self._newest is None or time > self._newest:
            if self._newest is not None:
                self._interval = min(time - self._newest, self._clock_rate_hz)
            self._newest, self._newest_arrived = time, arrived
        self._highest_lead = max(self._highest_lead, self._lead(time, arrived))

    def _estimate(self, timestamp: int, arrived: datetime) -> int:
        assert self._newest is not None  # noqa: S101 - `place` sets it first
        assert self._newest_arrived is not None  # noqa: S101
        passed = round((arrived - self._newest_arrived).total_seconds() * self._clock_rate_hz)
        time = self._newest + max(passed, self._interval // 2, 1)
        self._candidate = time - timestamp
        self._newest, self._newest_arrived = time, arrived
        self._highest_lead = self._lead(time, arrived)
        self._estimates += 1
        if self._estimates == _STANDSTILL_PICTURES:
            self._warn("the times of the stream do not advance, using the times of arrival")
        return time

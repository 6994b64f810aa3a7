"""Decision about whether a recording grows, from the sizes seen so far; no I/O and no clock of its own."""

from dataclasses import dataclass
from typing import TypedDict

from agent_core.recordings.models import RecordingState

__all__ = ("Growth", "GrowthLimits", "Measured")

#: Pause between two looks at the files: until the first picture, after it, and without a stream (to notice each gap).
EAGER_S, STEADY_S, DOWN_S = 0.05, 2.0, 0.4
EAGER_FOR_S = 3.0


@dataclass(frozen=True, slots=True)
class Measured:
    """Size of a recording on disk: bytes of all segments and seconds of media in them."""

    size_bytes: int = 0
    duration_s: float = 0.0


class GrowthLimits(TypedDict):
    """Configured limits in seconds."""

    start_timeout_s: float
    stall_s: float


class Growth:
    """State of a recording by the growth of its files. All times are monotonic seconds.

    RECORDING while the files grow; ERROR if nothing is written within `start_timeout_s`, or nothing more for
    `stall_s`. While the stream is known to be down, a stall is an ERROR at once.
    """

    def __init__(
        self,
        *,
        started_s: float,
        start_timeout_s: float,
        stall_s: float,
        size_bytes: int = 0,
        first_sample_s: float | None = None,
    ) -> None:
        """Start without growth. For a resumed recording, `size_bytes` and `first_sample_s` are those so far."""
        self._started_s = started_s
        self._start_timeout_s = start_timeout_s
        self._stall_s = stall_s
        self._size_bytes = size_bytes
        self._duration_s = 0.0
        self._grew_s = started_s
        self._first_sample_s = first_sample_s
        self._has_grown = False
        self._was_lost = False
        self._state = RecordingState.STARTING

    @property
    def first_sample_s(self) -> float | None:
        """The time of the first sample; None before it."""
        return self._first_sample_s

    def look(
        self, now_s: float, measured: Measured, *, is_down: bool = False, is_lost: bool = False
    ) -> RecordingState:
        """Return the state, given what is on disk at `now_s`.

        With `is_down`, no stream reaches the media server; with `is_lost`, the disk has a fault, an ERROR at once.
        """
        # A smaller size counts too: an old segment was deleted. Recovery takes a picture, not just a new header.
        grew = measured.size_bytes != self._size_bytes and measured.duration_s > 0
        if self._state is RecordingState.ERROR:
            grew = grew and measured.duration_s > self._duration_s
        self._duration_s = measured.duration_s
        if grew:
            self._size_bytes = measured.size_bytes
            self._grew_s = now_s
            self._has_grown = True
            if self._first_sample_s is None:
                self._first_sample_s = now_s - measured.duration_s
        self._was_lost = is_lost or (self._was_lost and not grew)
        if self._was_lost or self._fails(now_s, grew=grew, is_down=is_down):
            self._state = RecordingState.ERROR
        else:
            self._state = RecordingState.RECORDING if self._has_grown else RecordingState.STARTING
        return self._state

    def _fails(self, now_s: float, *, grew: bool, is_down: bool) -> bool:
        if not self._has_grown:
            return now_s - self._started_s >= self._start_timeout_s
        if is_down:
            # When a stream ends, the server still writes what it has buffered: that is not a recovery.
            return self._state is RecordingState.ERROR or not grew
        return now_s - self._grew_s >= self._stall_s

    def pause_s(self, now_s: float, duration_s: float | None, *, is_down: bool) -> float:
        """Return the seconds until the next look at the files, unless the stream changes before."""
        eager = self._state is not RecordingState.RECORDING and now_s - self._started_s < EAGER_FOR_S
        pause_s = EAGER_S if eager else DOWN_S if is_down else STEADY_S
        left_s = self.left_s(now_s, duration_s)
        return pause_s if left_s is None else min(pause_s, left_s)

    def left_s(self, now_s: float, duration_s: float | None) -> float | None:
        """Return the seconds until `duration_s` has passed since the first sample.

        None without a duration, or before that sample.
        """
        if duration_s is None or self._first_sample_s is None:
            return None
        return self._first_sample_s + duration_s - now_s

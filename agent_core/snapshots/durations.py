"""Durations of captures, remembered in a bounded window, and their percentiles."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ("Durations", "RecentDurations", "percentile")


@dataclass(frozen=True, slots=True)
class Durations:
    """Shortest, median and 95th percentile of a window of durations, in seconds."""

    best_s: float
    p50_s: float
    p95_s: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value of `ordered` (ascending, not empty) below which `share` of the values lie; 0 <= share < 1."""
    return ordered[int(len(ordered) * share)]


class RecentDurations:
    """Window of the newest durations.

    Args:
        size: number of durations to keep.
        forget_after_s: age at which a duration no longer counts.
    """

    def __init__(self, size: int, *, forget_after_s: float = float("inf")) -> None:
        self._forget_after_s = forget_after_s
        self._samples: deque[tuple[float, float]] = deque(maxlen=size)

    @property
    def newest_s(self) -> float:
        """Return the time (monotonic) of the newest duration; minus infinity before the first."""
        return self._samples[-1][0] if self._samples else float("-inf")

    def add(self, duration_s: float, now_s: float) -> None:
        """Remember `duration_s`, measured at `now_s` (monotonic)."""
        self._samples.append((now_s, duration_s))

    def summary(self, now_s: float, *, at_least: int = 1) -> Durations | None:
        """Return the window's percentiles at `now_s`; None if fewer than `at_least` durations still count."""
        while self._samples and now_s - self._samples[0][0] > self._forget_after_s:
            self._samples.popleft()
        if len(self._samples) < at_least:
            return None
        ordered = sorted(duration_s for _, duration_s in self._samples)
        return Durations(ordered[0], percentile(ordered, 0.5), percentile(ordered, 0.95))

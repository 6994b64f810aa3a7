"""Counters and durations per tier, over all cameras."""

from collections import Counter
from dataclasses import dataclass

from agent_core.snapshots.durations import Durations, RecentDurations

__all__ = ("TierMeter", "TierMetrics")

#: Captures whose durations are kept for the percentiles.
_CAPTURES = 256
#: Reasons that are counted by name; plugins choose their words, and memory must stay bounded.
_MAX_REASONS = 32
#: Name under which all further reasons are counted.
OTHER = "other"


@dataclass(frozen=True, slots=True)
class TierMetrics:
    """Counters of one tier since the agent's start.

    Attributes:
        attempts: captures that were tried, pictures and failures together.
        pictures: captures that gave a picture.
        failures: failed attempts by reason, in alphabetical order.
        skips: times that the tier was left out, by reason, in alphabetical order.
        durations: of the last 256 pictures; None before the first.
    """

    rank: int
    name: str
    attempts: int
    pictures: int
    failures: tuple[tuple[str, int], ...]
    skips: tuple[tuple[str, int], ...]
    durations: Durations | None


class TierMeter:
    """Counts what one tier does."""

    def __init__(self, rank: int, name: str) -> None:
        self._rank, self._name = rank, name
        self._pictures = 0
        self._failures: Counter[str] = Counter()
        self._skips: Counter[str] = Counter()
        self._durations = RecentDurations(_CAPTURES)

    def took_picture(self, duration_s: float, now_s: float) -> None:
        """Count a picture that took `duration_s`."""
        self._pictures += 1
        self._durations.add(duration_s, now_s)

    def failed(self, reason: str) -> None:
        """Count a failed attempt."""
        _count(self._failures, reason)

    def skipped(self, reason: str) -> None:
        """Count that the tier was left out."""
        _count(self._skips, reason)

    def metrics(self, now_s: float) -> TierMetrics:
        """Return the counters as they are now."""
        return TierMetrics(
            rank=self._rank,
            name=self._name,
            attempts=self._pictures + self._failures.total(),
            pictures=self._pictures,
            failures=tuple(sorted(self._failures.items())),
            skips=tuple(sorted(self._skips.items())),
            durations=self._durations.summary(now_s),
        )


def _count(counter: Counter[str], reason: str) -> None:
    counter[reason if reason in counter or len(counter) < _MAX_REASONS else OTHER] += 1

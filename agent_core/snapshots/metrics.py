"""Counters and durations per tier, over all cameras."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent_core.base.metrics import Distribution, Metric, MetricKind, MetricRegistry
from agent_core.snapshots.durations import Durations, RecentDurations

__all__ = ("TierMeter", "TierMetrics", "add_tier_metrics")

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
        total_s: sum of the durations of all pictures.
    """

    rank: int
    name: str
    attempts: int
    pictures: int
    failures: tuple[tuple[str, int], ...]
    skips: tuple[tuple[str, int], ...]
    durations: Durations | None
    total_s: float = 0.0


class TierMeter:
    """Counts what one tier does."""

    def __init__(self, rank: int, name: str) -> None:
        self._rank, self._name = rank, name
        self._pictures = 0
        self._total_s = 0.0
        self._failures: Counter[str] = Counter()
        self._skips: Counter[str] = Counter()
        self._durations = RecentDurations(_CAPTURES)

    def took_picture(self, duration_s: float, now_s: float) -> None:
        """Count a picture that took `duration_s`."""
        self._pictures += 1
        self._total_s += duration_s
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
            total_s=self._total_s,
        )


def _count(counter: Counter[str], reason: str) -> None:
    counter[reason if reason in counter or len(counter) < _MAX_REASONS else OTHER] += 1


def add_tier_metrics(registry: MetricRegistry, tiers: Callable[[], Sequence[TierMetrics]]) -> None:
    """Describe what the tiers did; `tiers` returns their numbers."""
    registry.add(
        Metric(
            "camera_agent_snapshot_duration_seconds",
            MetricKind.SUMMARY,
            "Time that a tier took for a picture; the quantiles are those of the last 256.",
            lambda: {key: _distribution(tier) for key, tier in _by_tier(tiers())},
            labels=("tier", "rank"),
        )
    )
    registry.counter(
        "camera_agent_snapshot_failures_total",
        "Captures of a tier that gave no picture, by reason.",
        lambda: {(*key, reason): count for key, tier in _by_tier(tiers()) for reason, count in tier.failures},
        labels=("tier", "rank", "reason"),
    )
    registry.counter(
        "camera_agent_snapshot_skips_total",
        "Times that a tier was left out, by reason.",
        lambda: {(*key, reason): count for key, tier in _by_tier(tiers()) for reason, count in tier.skips},
        labels=("tier", "rank", "reason"),
    )


def _by_tier(tiers: Sequence[TierMetrics]) -> Iterator[tuple[tuple[str, str], TierMetrics]]:
    """Yield each tier with its labels; a later tier of the same name and rank gets a number, as series are unique."""
    seen: Counter[tuple[str, int]] = Counter()
    for tier in tiers:
        seen[tier.name, tier.rank] += 1
        number = seen[tier.name, tier.rank]
        yield (tier.name if number == 1 else f"{tier.name}#{number}", str(tier.rank)), tier


def _distribution(tier: TierMetrics) -> Distribution:
    durations = tier.durations
    points = () if durations is None else ((0.5, durations.p50_s), (0.95, durations.p95_s))
    return Distribution(tier.pictures, tier.total_s, points)

"""Metrics: numbers that services describe on a registry passed to them, and that outputs only read.

A number stays in the service that counts it. A metric reads it when it is collected, so that no output has a copy, and
a series ends with the camera or path that it is about.
"""

import logging
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = (
    "Collected",
    "Distribution",
    "Histogram",
    "Labels",
    "Metric",
    "MetricKind",
    "MetricRegistry",
    "Reading",
    "Rising",
    "Value",
)

_log = logging.getLogger("camera_agent.metrics")

_NAME = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_TOTAL = "_total"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Number and sum of observations, with `points`.

    A histogram's points are upper bounds with the number of observations up to them, the last bound being infinite;
    a summary's are quantiles (0 to 1) with their values, none before the first observation.
    """

    count: int
    total: float
    points: tuple[tuple[float, float], ...]


#: Values of the labels of one series, in the order of their names.
Labels = tuple[str, ...]
Value = float | Distribution
#: Result of reading a metric: one value without labels, None if it is unknown, or the value of each series.
Reading = Value | None | Mapping[Labels, Value]


class MetricKind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Metric:
    """Description of a number, or of one number per series.

    Args:
        name: ends with its unit, in the plural (`_seconds`, `_bytes`), or `_ratio`; a counter's then with `_total`.
        text: one sentence for people.
        read: returns the present values from memory: it must be quick, and do no I/O.
        labels: names of the labels. Their values must be bounded and public: ids and words, never names or addresses.
    """

    name: str
    kind: MetricKind
    text: str
    read: Callable[[], Reading]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Collected:
    """Values of one metric at one moment, by series."""

    metric: Metric
    series: tuple[tuple[Labels, Value], ...]


class MetricRegistry:
    """Registry of one agent's metrics. Filled while the agent is put together, read by its outputs."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics.values())

    def counter(
        self, name: str, text: str, read: Callable[[], Reading], *, labels: Sequence[str] = ()
    ) -> None:
        """Add a number that only grows. Raises ValueError as `add`."""
        self.add(Metric(name, MetricKind.COUNTER, text, read, tuple(labels)))

    def gauge(self, name: str, text: str, read: Callable[[], Reading], *, labels: Sequence[str] = ()) -> None:
        """Add a number that rises and falls. Raises ValueError as `add`."""
        self.add(Metric(name, MetricKind.GAUGE, text, read, tuple(labels)))

    def add(self, metric: Metric) -> None:
        """Add `metric`. Raises ValueError if its name or a label is not valid or the name is taken, which is a bug."""
        if not all(_NAME.fullmatch(each) for each in (metric.name, *metric.labels)):
            raise ValueError(f"not a valid name in the metric {metric.name!r}")
        if (metric.kind is MetricKind.COUNTER) is not metric.name.endswith(_TOTAL):
            raise ValueError(f"the metric {metric.name} is a {metric.kind}: only counters end with {_TOTAL}")
        if metric.name in self._metrics:
            raise ValueError(f"a metric {metric.name} already exists")
        self._metrics[metric.name] = metric

    def collect(self) -> tuple[Collected, ...]:
        """Return the values of all metrics, from memory. A metric that cannot be read is logged and left out."""
        return tuple(found for each in self if (found := _collected(each)) is not None)


def _collected(metric: Metric) -> Collected | None:
    try:
        return Collected(metric, tuple(_series(metric)))
    except Exception:  # noqa: BLE001 - one service's bug must not hide the numbers of the others
        _log.exception("cannot read the metric %s", metric.name)
        return None


def _series(metric: Metric) -> Iterator[tuple[Labels, Value]]:
    reading = metric.read()
    if reading is None:
        return
    for labels, value in reading.items() if isinstance(reading, Mapping) else (((), reading),):
        if len(labels) != len(metric.labels):
            raise ValueError(f"{labels} are not values of the labels {metric.labels}")
        # A number that is not finite is unknown; readers of the output would add it up to nothing.
        if isinstance(value, Distribution) or math.isfinite(value):
            yield labels, value


class Histogram:
    """Counts observations up to each of some bounds.

    Args:
        bounds: upper bounds, ascending, without infinity.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, math.inf)
        self._counts = [0] * len(self._bounds)
        self._total = 0.0

    @property
    def count(self) -> int:
        """Number of observations."""
        return sum(self._counts)

    @property
    def total(self) -> float:
        """Sum of the observed values."""
        return self._total

    def observe(self, value: float) -> None:
        """Count `value`."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def read(self) -> Distribution:
        """Return the numbers as they are now."""
        so_far, points = 0, []
        for bound, count in zip(self._bounds, self._counts, strict=True):
            so_far += count
            points.append((bound, float(so_far)))
        return Distribution(so_far, self._total, tuple(points))


class Rising:
    """Sum of counters of other programs, which start again at zero, appear and disappear; the sum never falls."""

    def __init__(self) -> None:
        self.total = 0
        self._last: Mapping[Hashable, int] = {}

    def saw(self, counters: Mapping[Hashable, int]) -> None:
        """Take in what the counters show now. One that was not there the last time counts from zero."""
        for key, value in counters.items():
            last = self._last.get(key, 0)
            self.total += value if value < last else value - last
        self._last = dict(counters)

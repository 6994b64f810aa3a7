"""Durations and failures of calls by method."""

from collections.abc import Mapping
from dataclasses import dataclass

from agent_core.base.metrics import Histogram, Metric, MetricKind, MetricRegistry

__all__ = ("UNKNOWN", "CallMeter", "MethodMetrics")

#: Stands for all methods that do not exist: clients could send any number of names.
UNKNOWN = "unknown"
#: Upper bounds in seconds: from a call answered from memory to one that waits for a camera.
_BOUNDS_S = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class MethodMetrics:
    """Calls of one method that were answered, errors included; `total_s` is the sum of their durations."""

    calls: int
    errors: int
    total_s: float


class CallMeter:
    """Counts calls by method. A call that is cancelled, because its connection has ended, is not counted."""

    def __init__(self) -> None:
        self._durations: dict[str, Histogram] = {}
        self._errors: dict[str, int] = {}

    def ended(self, method: str, duration_s: float, *, failed: bool) -> None:
        """Count an answered call. `method` is the name of a method that exists, or `UNKNOWN`."""
        durations = self._durations.get(method)
        if durations is None:
            durations = self._durations[method] = Histogram(_BOUNDS_S)
            self._errors[method] = 0
        durations.observe(duration_s)
        self._errors[method] += failed

    @property
    def methods(self) -> Mapping[str, MethodMetrics]:
        """The numbers of each method that has been called, by name in alphabetical order."""
        return {
            name: MethodMetrics(each.count, self._errors[name], each.total)
            for name, each in sorted(self._durations.items())
        }

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the calls."""
        registry.add(
            Metric(
                "camera_agent_rpc_duration_seconds",
                MetricKind.HISTOGRAM,
                "Time from reading a call to its answer, by method.",
                lambda: {(name,): each.read() for name, each in self._durations.items()},
                labels=("method",),
            )
        )
        registry.counter(
            "camera_agent_rpc_errors_total",
            "Calls answered with an error, by method.",
            lambda: {(name,): count for name, count in self._errors.items()},
            labels=("method",),
        )

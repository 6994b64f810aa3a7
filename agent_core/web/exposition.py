"""Text of `/metrics`, in the Prometheus format or as OpenMetrics.

Apart from `routes`, so that prometheus-client is loaded by the first request for metrics.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from agent_core.base.metrics import Collected, Distribution, MetricKind
from agent_core.rpc.errors import without_device_paths

__all__ = ("OPENMETRICS", "PLAIN", "Exposition", "render")

#: Media types of the two formats.
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_UNITS = ("seconds", "bytes", "ratio")
#: The versions of OpenMetrics that its text is valid for; a client that names none takes any.
_VERSIONS = frozenset({"", "0.0.1", "1.0.0"})


class Exposition(NamedTuple):
    """Body and media type of a response."""

    body: bytes
    media_type: str


class _Snapshot(Collector):
    """Values collected before, with the process's own, for the library to write out."""

    def __init__(self, collected: Sequence[Collected]) -> None:
        self._collected = collected

    def collect(self) -> Iterator[Family]:
        yield from (_family(each) for each in self._collected)
        yield from ProcessCollector(registry=None).collect()


def render(collected: Sequence[Collected], accept: str) -> Exposition:
    """Return the text of `collected` in the format that the header `accept` prefers, with `process_...` metrics.

    Reads /proc, and may take a while with many cameras: call it in a worker thread.
    """
    snapshot = _Snapshot(collected)
    if _prefers_openmetrics(accept):
        # The library does not annotate this one.
        text: bytes = generate_openmetrics(snapshot)  # type: ignore[no-untyped-call]
        return Exposition(_public(text), OPENMETRICS)
    return Exposition(_public(generate_latest(snapshot)), PLAIN)


def _public(text: bytes) -> bytes:
    """Apply the filter that every text for clients passes."""
    return without_device_paths(text.decode()).encode()


def _family(collected: Collected) -> Family:
    """Return a metric and its series as the library's classes."""
    metric = collected.metric
    name = metric.name.removesuffix("_total")
    unit = name.rpartition("_")[2]
    family = Family(name, metric.text, metric.kind.value, unit if unit in _UNITS else "")
    for values, value in collected.series:
        labels = dict(zip(metric.labels, values, strict=True))
        if isinstance(value, Distribution):
            _add_distribution(family, metric.kind, labels, value)
        else:
            family.add_sample(metric.name, labels, value)
    return family


def _add_distribution(family: Family, kind: MetricKind, labels: dict[str, str], value: Distribution) -> None:
    is_histogram = kind is MetricKind.HISTOGRAM
    name, key = (f"{family.name}_bucket", "le") if is_histogram else (family.name, "quantile")
    for at, point in value.points:
        family.add_sample(name, {**labels, key: "+Inf" if at == float("inf") else str(float(at))}, point)
    family.add_sample(f"{family.name}_count", labels, value.count)
    family.add_sample(f"{family.name}_sum", labels, value.total)


def _prefers_openmetrics(accept: str) -> bool:
    """Return True if the header weighs OpenMetrics, in a version that we write, at least as much as plain text.

    The library's own choice fails on versions that are not numbers, and repeats any other as its own.
    """
    weights = {"application/openmetrics-text": 0.0, "text/plain": 0.0}
    for each in accept.split(","):
        kind, *params = (part.strip() for part in each.lower().split(";"))
        named = dict(param.split("=", 1) for param in params if "=" in param)
        if kind in weights and (kind == "text/plain" or named.get("version", "") in _VERSIONS):
            weights[kind] = max(weights[kind], _weight(named.get("q", "1")))
    openmetrics, plain = weights.values()
    return openmetrics > 0 and openmetrics >= plain


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0

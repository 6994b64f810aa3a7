"""The text of `/metrics`, judged by the parsers of prometheus-client."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping

import pytest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from agent_core.base.metrics import Histogram, MetricKind, MetricRegistry
from agent_core.base.metrics import Metric as Described
from agent_core.snapshots.metrics import TierMeter, add_tier_metrics
from agent_core.web.exposition import OPENMETRICS, PLAIN, render

FORMATS: Mapping[str, tuple[str, Callable[[str], Iterable[Family]]]] = {
    "plain": ("", parse_plain),
    "openmetrics": ("application/openmetrics-text", parse_openmetrics),
}
each_format = pytest.mark.parametrize("form", FORMATS)


def parsed(registry: MetricRegistry, form: str) -> dict[str, Family]:
    """Return our metrics by the parser's name of each; the OpenMetrics parser refuses whatever is not allowed."""
    accept, parse = FORMATS[form]
    families = parse(render(registry.collect(), accept).body.decode())
    return {each.name: each for each in families if not each.name.startswith("process_")}


def samples(family: Family) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for each in family.samples}


@each_format
def test_kinds_names_and_units_are_those_that_prometheus_expects(form: str) -> None:
    registry = MetricRegistry()
    registry.counter("a_sent_bytes_total", "Bytes sent.", lambda: 7)
    registry.gauge("a_probe_seconds", "A probe.", lambda: 0.25)
    registry.gauge("a_up", "It is up.", lambda: {("x", "y"): 1}, labels=("one", "two"))
    found = parsed(registry, form)
    assert {name: each.type for name, each in found.items()} == {
        "a_sent_bytes": "counter",
        "a_probe_seconds": "gauge",
        "a_up": "gauge",
    }
    assert samples(found["a_sent_bytes"]) == {("a_sent_bytes_total", ()): 7}
    assert samples(found["a_up"]) == {("a_up", (("one", "x"), ("two", "y"))): 1}
    assert found["a_sent_bytes"].documentation == "Bytes sent."
    if form == "openmetrics":
        assert (found["a_sent_bytes"].unit, found["a_probe_seconds"].unit) == ("bytes", "seconds")


@each_format
def test_a_histogram_has_cumulative_buckets_that_end_with_all(form: str) -> None:
    histogram, registry = Histogram((0.1, 2.5)), MetricRegistry()
    for each in (0.05, 0.05, 1.0, 9.0):
        histogram.observe(each)
    metric = Described(
        "a_seconds", MetricKind.HISTOGRAM, "Times.", lambda: {("m",): histogram.read()}, ("method",)
    )
    registry.add(metric)
    family = parsed(registry, form)["a_seconds"]
    buckets = [(each.labels["le"], each.value) for each in family.samples if each.name == "a_seconds_bucket"]
    assert buckets == [("0.1", 2), ("2.5", 3), ("+Inf", 4)]
    assert samples(family)["a_seconds_count", (("method", "m"),)] == 4
    assert samples(family)["a_seconds_sum", (("method", "m"),)] == 10.1


@each_format
def test_tiers_of_one_name_and_rank_stay_two_series_and_no_quantile_is_nan(form: str) -> None:
    """Two plugins may give their tiers the same name; Prometheus refuses a whole scrape for a series that comes twice."""
    meters = [TierMeter(1, "still"), TierMeter(1, "still"), TierMeter(2, "still")]
    meters[0].took_picture(0.5, 0.0)
    for meter in meters[:2]:
        meter.failed("timed_out")
        meter.skipped("too_slow")
    registry = MetricRegistry()
    add_tier_metrics(registry, lambda: [each.metrics(0.0) for each in meters])
    found = parsed(registry, form)
    durations = samples(found["camera_agent_snapshot_duration_seconds"])
    name = "camera_agent_snapshot_duration_seconds"
    assert durations[name, (("quantile", "0.5"), ("rank", "1"), ("tier", "still"))] == 0.5
    assert durations[f"{name}_count", (("rank", "1"), ("tier", "still#2"))] == 0
    assert durations[f"{name}_count", (("rank", "2"), ("tier", "still"))] == 0
    assert not any(math.isnan(value) for value in durations.values())
    assert sum(samples(found["camera_agent_snapshot_failures"]).values()) == 2
    assert sum(samples(found["camera_agent_snapshot_skips"]).values()) == 2


@each_format
def test_values_of_labels_cannot_forge_a_line(form: str) -> None:
    odd = ['a"b', "back\\slash", 'x"} 1\nforged{y="z', "\r\nforged 1", "é\u202e\u2028", "", "#", "a b,c={}"]
    registry = MetricRegistry()
    registry.gauge(
        "a", "Odd.", lambda: {(each,): number for number, each in enumerate(odd)}, labels=("reason",)
    )
    found = parsed(registry, form)
    assert set(found) == {"a"}
    assert {each.labels.get("reason"): each.value for each in found["a"].samples} == {
        each: number for number, each in enumerate(odd)
    }


@each_format
def test_a_device_path_in_a_label_does_not_get_out(form: str, caplog: pytest.LogCaptureFixture) -> None:
    registry = MetricRegistry()
    registry.gauge("a", "A.", lambda: {("cannot open /dev/video0",): 1}, labels=("reason",))
    with caplog.at_level(logging.ERROR):
        (sample,) = parsed(registry, form)["a"].samples
    assert sample.labels == {"reason": "cannot open [device]"}
    assert "device path" in caplog.text


#: As the two send it.
PROMETHEUS_2 = (
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text;version=0.0.1;q=0.75",
    "text/plain;version=0.0.4;q=0.5",
    "*/*;q=0.1",
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6",
    "application/openmetrics-text;version=0.0.1;q=0.5",
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4",
    "text/plain;version=0.0.4;q=0.3",
    "*/*;q=0.2",
)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("", PLAIN),
        ("*/*", PLAIN),
        ("text/html,application/xhtml+xml,*/*;q=0.8", PLAIN),
        ("text/plain", PLAIN),
        ("text/plain;version=1.0.0;escaping=allow-utf-8", PLAIN),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text ; Version=1.0.0", OPENMETRICS),
        (",".join(PROMETHEUS_2), OPENMETRICS),
        (",".join(PROMETHEUS_3), OPENMETRICS),
        ("text/plain;q=0.9,application/openmetrics-text;q=0.5", PLAIN),
        ("application/openmetrics-text;q=0", PLAIN),
        ("application/openmetrics-text;version=2.0.0", PLAIN),
        # Refused by the library's own choice, with an exception.
        ("application/openmetrics-text;version=x.y", PLAIN),
        ("text/plain;version=", PLAIN),
        (";;;,,=;q=q;version=1.0.0\u00e9", PLAIN),
        ("application/openmetrics-text;q=nan", PLAIN),
    ],
)
def test_the_format_is_the_one_that_the_client_prefers(accept: str, media_type: str) -> None:
    exposition = render((), accept)
    assert exposition.media_type == media_type
    assert exposition.body.endswith(b"# EOF\n") is (media_type == OPENMETRICS)


@each_format
def test_the_process_has_the_conventional_metrics(form: str) -> None:
    accept, parse = FORMATS[form]
    names = {each.name for each in parse(render((), accept).body.decode())}
    assert {"process_resident_memory_bytes", "process_cpu_seconds", "process_start_time_seconds"} <= names

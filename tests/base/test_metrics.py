"""The registry of metrics, and the instruments that services count with."""

import logging
import math

import pytest

from agent_core.base.metrics import (
    Distribution,
    Histogram,
    Labels,
    Metric,
    MetricKind,
    MetricRegistry,
    Rising,
    Value,
)


def values(registry: MetricRegistry) -> dict[str, dict[tuple[str, ...], object]]:
    return {each.metric.name: dict(each.series) for each in registry.collect()}


def test_a_metric_is_read_each_time_it_is_collected_and_never_before() -> None:
    registry = MetricRegistry()
    numbers: dict[Labels, Value] = {("camera0",): 1.0}
    registry.gauge("bytes_now", "Bytes.", lambda: numbers, labels=("camera",))
    assert values(registry) == {"bytes_now": {("camera0",): 1.0}}
    numbers[("camera0",)] = 2.0
    numbers[("camera1",)] = 3.0
    assert values(registry) == {"bytes_now": {("camera0",): 2.0, ("camera1",): 3.0}}


def test_the_series_of_a_camera_that_has_gone_ends() -> None:
    """Libraries that keep the last value of each label show what no longer exists for the life of the process."""
    registry = MetricRegistry()
    numbers: dict[Labels, Value] = {("camera0",): 1, ("camera1",): 1}
    registry.gauge("live", "It is live.", lambda: dict(numbers), labels=("camera",))
    del numbers[("camera1",)]
    assert values(registry) == {"live": {("camera0",): 1}}


@pytest.mark.parametrize("unknown", [None, math.nan, math.inf, -math.inf])
def test_what_is_unknown_has_no_value_rather_than_nan(unknown: float | None) -> None:
    registry = MetricRegistry()
    registry.gauge("probe_seconds", "A probe.", lambda: unknown)
    assert values(registry) == {"probe_seconds": {}}


def test_one_metric_that_cannot_be_read_does_not_hide_the_others(caplog: pytest.LogCaptureFixture) -> None:
    registry = MetricRegistry()
    registry.gauge("first", "Read.", lambda: 1)
    registry.gauge("broken", "Not read.", lambda: 1 / 0)
    registry.gauge("wrong", "Without a value for its label.", lambda: {(): 1}, labels=("camera",))
    registry.gauge("last", "Read.", lambda: 2)
    with caplog.at_level(logging.ERROR):
        assert values(registry) == {"first": {(): 1}, "last": {(): 2}}
    assert [record.args for record in caplog.records] == [("broken",), ("wrong",)]


@pytest.mark.parametrize(
    ("name", "kind", "labels"),
    [
        ("sent_bytes", MetricKind.COUNTER, ()),
        ("cameras_total", MetricKind.GAUGE, ()),
        ("Sent_total", MetricKind.COUNTER, ()),
        ("sent-total", MetricKind.COUNTER, ()),
        ("sent_total", MetricKind.COUNTER, ("camera name",)),
        ("taken_total", MetricKind.COUNTER, ()),
    ],
)
def test_a_name_against_the_conventions_or_taken_is_refused(
    name: str, kind: MetricKind, labels: tuple[str, ...]
) -> None:
    registry = MetricRegistry()
    registry.counter("taken_total", "Taken.", lambda: 0)
    with pytest.raises(ValueError, match=r"name|end|exists"):
        registry.add(Metric(name, kind, "A text.", lambda: 0, labels))


def test_two_registries_share_nothing() -> None:
    first, second = MetricRegistry(), MetricRegistry()
    first.gauge("up", "It is up.", lambda: 1)
    second.gauge("up", "It is up.", lambda: 2)
    assert (values(first), values(second)) == ({"up": {(): 1}}, {"up": {(): 2}})


def test_a_histogram_counts_up_to_and_including_its_bounds() -> None:
    histogram = Histogram((0.1, 1.0))
    assert histogram.read() == Distribution(0, 0.0, ((0.1, 0.0), (1.0, 0.0), (math.inf, 0.0)))
    for each in (0.0, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(each)
    assert histogram.read() == Distribution(5, 8.6, ((0.1, 2.0), (1.0, 4.0), (math.inf, 5.0)))
    assert (histogram.count, histogram.total) == (5, 8.6)


def test_a_rising_sum_never_falls() -> None:
    rising, totals = Rising(), []
    shown: tuple[dict[object, int], ...] = (
        {"eth0": 10},
        {"eth0": 15, "wlan0": 5},  # appears
        {"eth0": 15},  # goes, its share stays
        {"eth0": 3},  # starts again at zero
        {"eth0": 4, "wlan0": 2},  # comes back, and has counted from zero
        {},
        {"eth0": 1},
    )
    for counters in shown:
        rising.saw(counters)
        totals.append(rising.total)
    assert totals == [10, 20, 20, 23, 26, 26, 27]

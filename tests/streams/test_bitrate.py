"""The bit rate of a path by its byte counters."""

from datetime import UTC, datetime, timedelta

from agent_core.mediamtx.schema import RuntimePath
from agent_core.streams.bitrate import BitrateMeter

BEGAN = datetime(2026, 11, 22, 17, 0, tzinfo=UTC)


def path(inbound_bytes: int, *, began: datetime = BEGAN, live: bool = True) -> RuntimePath:
    since = began if live else None
    return RuntimePath(name="camera0", live=live, live_since=since, inbound_bytes=inbound_bytes)


def test_it_is_known_from_the_second_look_on() -> None:
    meter = BitrateMeter()
    meter.saw(100.0, path(500_000))
    assert meter.bits_per_s is None
    meter.saw(102.0, path(750_000))
    assert meter.bits_per_s == 1_000_000


def test_looks_close_together_are_one() -> None:
    meter = BitrateMeter()
    for number in range(9):
        meter.saw(100 + number / 10, path(1000 * number))
    assert meter.bits_per_s is None
    meter.saw(101.0, path(10_000))
    assert meter.bits_per_s == 80_000


def test_it_follows_a_stream_that_changes() -> None:
    meter = BitrateMeter()
    for second in range(0, 20, 2):
        meter.saw(second, path(1000 * second))
    assert meter.bits_per_s == 8000
    for second in range(20, 28, 2):
        meter.saw(second, path(20_000))
    assert meter.bits_per_s == 0


def test_after_a_long_time_it_is_the_average_over_that() -> None:
    meter = BitrateMeter()
    meter.saw(0, path(0))
    meter.saw(1, path(1000))
    meter.saw(101, path(2000))
    assert meter.bits_per_s == 8 * 1000 / 100


def test_another_stream_is_measured_anew() -> None:
    meter = BitrateMeter()
    meter.saw(0, path(1000))
    meter.saw(2, path(2000))
    meter.saw(4, path(9000, began=BEGAN + timedelta(seconds=3)))
    assert meter.bits_per_s is None
    meter.saw(6, path(100, began=BEGAN + timedelta(seconds=3)))  # a server that says no time
    assert meter.bits_per_s is None
    meter.saw(8, path(350, began=BEGAN + timedelta(seconds=3)))
    assert meter.bits_per_s == 1000


def test_what_is_not_live_has_none() -> None:
    meter = BitrateMeter()
    for gone in (None, path(0, live=False)):
        meter.saw(0, path(0))
        meter.saw(2, path(2000))
        assert meter.bits_per_s == 8000
        meter.saw(3, gone)
        assert meter.bits_per_s is None


def test_a_look_counts_a_quarter_of_a_second_after_the_last_one() -> None:
    meter = BitrateMeter()
    meter.saw(0, path(0))
    meter.saw(1, path(1000))
    meter.saw(1.125, path(9000))
    assert meter.bits_per_s == 8000
    meter.saw(1.25, path(10_000))
    assert meter.bits_per_s == 64_000


def test_the_average_starts_at_the_latest_look_of_five_seconds_ago() -> None:
    meter = BitrateMeter()
    for now_s, inbound_bytes in ((0, 0), (1, 1000), (6, 1000)):
        meter.saw(now_s, path(inbound_bytes))
    assert meter.bits_per_s == 0

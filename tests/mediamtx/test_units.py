"""Durations and sizes in all the forms that a server takes and gives."""

import pytest
from pydantic import TypeAdapter

from agent_core.mediamtx.units import (
    Duration,
    Size,
    format_duration,
    format_size,
    parse_duration_s,
    parse_size_bytes,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("0s", 0),
        ("1h", 3600),
        ("1h0m0s", 3600),
        ("1d", 86400),
        ("24h", 86400),
        ("1d2h0m0s", 93600),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("1m0.5s", 60.5),
        ("15us", 15e-6),
        ("15µs", 15e-6),
        ("7ns", 7e-9),
        ("-10s", -10),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize("text", ["abc", "10", "1 s", "s", "1s2", "1s ", "--1s", "1e3s", "٣s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_s(text)


@pytest.mark.parametrize("seconds", [0, 0.25, 1, 1 / 3, 90, 3600, 86400, 1e-9, 0.0001])
def test_durations_come_back_as_they_went(seconds: float) -> None:
    text = format_duration(seconds)
    assert "d" not in text  # servers before v1.11 do not know days
    assert parse_duration_s(text) == pytest.approx(seconds, abs=1e-9)


def test_sizes_are_powers_of_1024_in_every_spelling() -> None:
    assert {parse_size_bytes(text) for text in ("50M", "50MB", "50MiB", "50m", "52428800B")} == {50 << 20}
    assert (format_size(50 << 20), format_size(1000), format_size(0)) == ("50M", "1000B", "0B")


@pytest.mark.parametrize("text", ["", "M", "50", "50X", "-1M", "1.5M"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size_bytes(text)


def test_the_largest_unit_is_the_last_one() -> None:
    assert format_size(1 << 60) == "1E"
    assert format_size(1 << 70) == "1024E"


def test_a_size_is_taken_as_text_and_as_a_number() -> None:
    size = TypeAdapter(Size)
    assert (size.validate_python("50M"), size.validate_python(7)) == (50 << 20, 7)
    assert size.dump_python(50 << 20) == "50M"


def test_a_duration_is_taken_as_text_and_as_a_number_of_whole_nanoseconds() -> None:
    duration = TypeAdapter(Duration)
    assert (duration.validate_python("1m"), duration.validate_python(7)) == (60, 7)
    assert duration.validate_python(0.123_456_789_4) == 0.123_456_789
    assert duration.dump_python(90.0) == "90s"


def test_a_duration_is_written_in_its_largest_fitting_unit() -> None:
    written = [format_duration(each) for each in (0.0, 90.0, 0.25, 0.000_015, 7e-9)]
    assert written == ["0s", "90s", "250ms", "15us", "7ns"]

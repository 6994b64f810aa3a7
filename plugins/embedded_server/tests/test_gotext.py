import pytest

from embedded_server.config.gotext import (
    ConfigRefused,
    dumps,
    duration_text,
    parse_duration,
    parse_size,
    size_text,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("0", ""),
        ("10s", "10s"),
        ("1m", "1m0s"),
        ("1h", "1h0m0s"),
        ("1h30m", "1h30m0s"),
        ("1.5h", "1h30m0s"),
        ("1d", "1d"),
        ("48h1ms", "2d1ms"),
        ("-1d", "-1d"),
        ("-90s", "-1m30s"),
        ("1us", "1µs"),
        ("1500ns", "1.5µs"),
        ("1m0.25s", "1m0.25s"),
        ("2d3h", "2d3h0m0s"),
    ],
)
def test_durations(text: str, shown: str) -> None:
    assert duration_text(parse_duration(text)) == shown
    assert duration_text(parse_duration(shown)) == shown


@pytest.mark.parametrize("text", ["abc", "-", "1", "1s2", "1.2.3s", "s", "1y", " 1s", "1dx", '"'])
def test_invalid_durations(text: str) -> None:
    with pytest.raises(ConfigRefused, match=r"^time: "):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        ("1B", 1, "1B"),
        ("1k", 1024, "1K"),
        ("50 MiB", 50 << 20, "50M"),
        ("1.5G", 3 << 29, "1.5G"),
        ("1025B", 1025, "1K"),
    ],
)
def test_sizes(text: str, size: int, shown: str) -> None:
    assert parse_size(text) == size
    assert size_text(size) == shown


@pytest.mark.parametrize("text", ["", "1", "M", "-1M", "0M", "1X", "1MBB"])
def test_invalid_sizes(text: str) -> None:
    with pytest.raises(ConfigRefused, match="byte quantity"):
        parse_size(text)


def test_json_is_escaped_as_go_does() -> None:
    assert dumps({"a": ["<&>", None, True, "é"]}) == '{"a":["\\u003c\\u0026\\u003e",null,true,"é"]}'

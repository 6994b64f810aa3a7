"""Durations and sizes as MediaMTX writes them: Go's durations with a day part, byte counts in powers of 1024.

The server rewrites values (it returns `1h` as `1h0m0s`, `24h` as `1d`, `0s` as an empty string), so compare them as
numbers, never as text.
"""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

__all__ = ("Duration", "Size", "format_duration", "format_size", "parse_duration_s", "parse_size_bytes")

_UNITS_NS = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, as Go prints it
    "ns": 1,
}
_PART = re.compile(r"([0-9]{1,19}(?:\.[0-9]{0,19})?|\.[0-9]{1,19})(d|h|ms|m|s|us|µs|ns)", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,19})(?:([KMGTPE])(?:i?B)?|B)", re.ASCII | re.IGNORECASE)
_POWERS = "KMGTPE"


def parse_duration_s(text: str) -> float:
    """Parse a duration such as `1d2h0m0.5s` into seconds; the empty string and `0` are zero.

    Raises:
        ValueError: `text` is not such a duration.
    """
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text)
    if rest == "0":
        return 0.0
    total_ns = position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None:
            msg = f"{text!r} is not a duration"
            raise ValueError(msg)
        total_ns += round(float(part[1]) * _UNITS_NS[part[2]])
        position = part.end()
    return sign * total_ns / 1e9


def format_duration(duration_s: float) -> str:
    """Format a duration in one unit; never in days, which servers before v1.11 do not know."""
    ns = round(duration_s * 1e9)
    for unit in ("s", "ms", "us"):
        if ns % _UNITS_NS[unit] == 0:
            return f"{ns // _UNITS_NS[unit]}{unit}"
    return f"{ns}ns"


def parse_size_bytes(text: str) -> int:
    """Parse a size such as `50M`, `50MB` or `50MiB`, all equal to the server, into bytes.

    Raises:
        ValueError: `text` is not such a size.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        msg = f"{text!r} is not a size"
        raise ValueError(msg)
    power = _POWERS.index(found[2].upper()) + 1 if found[2] else 0
    return int(found[1]) << 10 * power


def format_size(size_bytes: int) -> str:
    """Format a size in the largest unit that expresses it exactly."""
    power = 0
    while size_bytes and size_bytes % 1024 == 0 and power < len(_POWERS):
        size_bytes //= 1024
        power += 1
    return f"{size_bytes}{_POWERS[power - 1] if power else 'B'}"


def _duration_in(value: object) -> object:
    """Round to whole nanoseconds, as the server returns them."""
    if isinstance(value, float):
        return round(value, 9)
    return parse_duration_s(value) if isinstance(value, str) else value


def _size_in(value: object) -> object:
    return parse_size_bytes(value) if isinstance(value, str) else value


#: Seconds here, Go's text on the wire.
Duration = Annotated[float, BeforeValidator(_duration_in), PlainSerializer(format_duration, return_type=str)]
#: Bytes here, text on the wire.
Size = Annotated[int, BeforeValidator(_size_in), PlainSerializer(format_size, return_type=str)]

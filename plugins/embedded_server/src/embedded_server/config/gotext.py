"""Text formats of MediaMTX's API, which are Go's: durations, sizes, times and escaped JSON."""

import json
import re
from datetime import UTC, datetime
from typing import TypeAlias

__all__ = (
    "ConfigRefused",
    "Json",
    "dumps",
    "duration_text",
    "parse_duration",
    "parse_size",
    "size_text",
    "time_text",
)

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None

_DAY_NS = 86_400 * 10**9
_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DAYS = re.compile(r"(-?[0-9]+)d")
_NUMBER = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)([^0-9.]*)")
_SIZE = re.compile(r"([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\Z")
_SIZE_UNITS = "BKMGTPE"
_BAD_SIZE = (
    "byte quantity must be a positive integer with a unit of measurement like M, MB, MiB, G, GiB, or GB"
)


class ConfigRefused(ValueError):
    """Configuration that the server refuses; the message is the `error` of a 400 response."""


#: Characters of a duration or size; longer texts are never needed and slow to parse.
_MAX_TEXT = 64
#: Go's durations are signed 64-bit integers.
_MAX_NS = 2**63 - 1


def parse_duration(text: str) -> int:
    """Parse a duration such as `1d2h3.5s` to nanoseconds; the empty text is zero.

    Raises:
        ConfigRefused: `text` is not a duration; the message is that of Go's `time` package.
    """
    if len(text) > _MAX_TEXT:
        raise ConfigRefused(f"time: invalid duration {_quote(text[:_MAX_TEXT])}")
    days = 0
    rest = text
    if found := _DAYS.match(text):
        days = int(found[1])
        rest = text[found.end() :]
    nanoseconds = abs(days) * _DAY_NS + (_plain_duration(rest) if rest else 0)
    if abs(nanoseconds) > _MAX_NS:
        raise ConfigRefused(f"time: invalid duration {_quote(text)}")
    return -nanoseconds if days < 0 else nanoseconds


def _plain_duration(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.removeprefix("+"))
    if digits == "0":
        return 0
    total, position = 0.0, 0
    while position < len(digits) or not digits:
        found = _NUMBER.match(digits, position)
        if found is None:
            raise ConfigRefused(f"time: invalid duration {_quote(text)}")
        if not found[2]:
            raise ConfigRefused(f"time: missing unit in duration {_quote(text)}")
        if found[2] not in _UNITS_NS:
            raise ConfigRefused(f"time: unknown unit {_quote(found[2])} in duration {_quote(text)}")
        total += float(found[1]) * _UNITS_NS[found[2]]
        position = found.end()
    return sign * round(total)


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def duration_text(nanoseconds: int) -> str:
    """Format a duration as the API does: with days, and zero as the empty text."""
    sign = "-" if nanoseconds < 0 else ""
    days, rest = divmod(abs(nanoseconds), _DAY_NS)
    return sign + (f"{days}d" if days else "") + (_go_duration(rest) if rest else "")


def _go_duration(nanoseconds: int) -> str:
    if nanoseconds < 10**9:
        unit, size = next((u, s) for u, s in (("ms", 10**6), ("µs", 10**3), ("ns", 1)) if nanoseconds >= s)
        return f"{_decimal(nanoseconds, size)}{unit}"
    minutes, rest = divmod(nanoseconds, 60 * 10**9)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{_decimal(rest, 10**9)}s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + seconds


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    if not fraction:
        return str(whole)
    return f"{whole}.{str(fraction).rjust(len(str(unit)) - 1, '0').rstrip('0')}"


def parse_size(text: str) -> int:
    """Parse a size such as `50M`, `50MB` or `50MiB` to bytes; all units are powers of 1024.

    Raises:
        ConfigRefused: `text` is not a positive number with a unit.
    """
    found = _SIZE.match(text.strip().upper()) if len(text) <= _MAX_TEXT else None
    unit = found[2] if found else ""
    if found is None or unit not in (
        "B",
        *(f"{u}{tail}" for u in _SIZE_UNITS[1:] for tail in ("", "B", "IB")),
    ):
        raise ConfigRefused(_BAD_SIZE)
    size = int(float(found[1]) * 1024 ** _SIZE_UNITS.index(unit[0]))
    if not 0 < size < 2**64:
        raise ConfigRefused(_BAD_SIZE)
    return size


def size_text(size_bytes: int) -> str:
    """Format a size as the API does: with at most one decimal, in the largest unit that fits."""
    power = min((size_bytes.bit_length() - 1) // 10, 6) if size_bytes else 0
    number = f"{size_bytes / 1024**power:.1f}".removesuffix(".0")
    return f"{number}{_SIZE_UNITS[power]}"


def dumps(value: Json) -> str:
    """Encode compact JSON with the escapes of Go's encoder."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def time_text(moment: datetime) -> str:
    """Format a time by RFC 3339 in UTC, without trailing zeros."""
    utc = moment.astimezone(UTC)
    fraction = f".{utc.microsecond:06d}".rstrip("0") if utc.microsecond else ""
    return f"{utc:%Y-%m-%dT%H:%M:%S}{fraction}Z"

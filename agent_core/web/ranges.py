"""Conditional and range requests (RFC 9110, sections 13 and 14), decided without I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime

__all__ = ("Answer", "answer_for")

#: One range; a request for several gets the whole file, as the RFC allows.
_RANGE = re.compile(r"bytes=\s*([0-9]{0,19})-([0-9]{0,19})\s*", re.ASCII | re.IGNORECASE)

#: The longest form of a date in HTTP has 33 characters; the rest is room for spaces.
_LONGEST_DATE = 64


@dataclass(frozen=True, slots=True)
class Answer:
    """Status with its bytes, from `start` up to but excluding `stop`."""

    status: int
    start: int
    stop: int

    @property
    def size_bytes(self) -> int:
        return self.stop - self.start


def answer_for(headers: Mapping[str, str], *, size_bytes: int, etag: str, modified_s: float) -> Answer:
    """Return the answer (200, 206, 304 or 416) to a GET of a file; `headers` looks names up in lower case."""
    if _is_unchanged(headers, etag, modified_s):
        return Answer(304, 0, 0)
    asked = headers.get("range")
    wanted = None if asked is None else _RANGE.fullmatch(asked)
    if wanted is None or not _range_applies(headers, etag, modified_s):
        return Answer(200, 0, size_bytes)
    return _part(wanted[1], wanted[2], size_bytes)


def _part(first: str, last: str, size_bytes: int) -> Answer:
    if not first and not last:
        return Answer(200, 0, size_bytes)
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1, size_bytes) if last else size_bytes
        if last and int(last) < start:
            return Answer(200, 0, size_bytes)  # an invalid range is ignored
    return Answer(206, start, stop) if start < stop else Answer(416, 0, 0)


def _is_unchanged(headers: Mapping[str, str], etag: str, modified_s: float) -> bool:
    tags = headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    since_s = _seconds(headers.get("if-modified-since"))
    return since_s is not None and int(modified_s) <= since_s


def _range_applies(headers: Mapping[str, str], etag: str, modified_s: float) -> bool:
    """Return False if `If-Range` names another version of the file than the current one."""
    condition = headers.get("if-range")
    return condition is None or condition.strip() in (etag, formatdate(modified_s, usegmt=True))


def _seconds(date: str | None) -> float | None:
    """Return the time of an HTTP date; None for an invalid one, whose condition is ignored (RFC 9110, 13.1.3)."""
    if not date or len(date) > _LONGEST_DATE:
        return None
    try:
        when = parsedate_to_datetime(date)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ArithmeticError, LookupError, TypeError, ValueError):
        # The parser raises undocumented errors: OverflowError for a year of eleven digits.
        return None

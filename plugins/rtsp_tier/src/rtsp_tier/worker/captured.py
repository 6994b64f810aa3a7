"""Captures of pictures as a camera's frame socket tells them with each picture.

A note is the opaque additional of a Matroska block: a JSON object that the frame server writes
(`agent_core.plugin.frames.capture_note`).
"""

import json
from dataclasses import dataclass
from typing import TypeGuard

__all__ = ("Captured", "read_note")

#: Words of `CapturedAtSource`; any other counts as the last one.
_SOURCES = ("device", "arrival", "estimated")
#: Words of `SettledBy`.
_SETTLED_BY = ("brightness", "time", "limit")
#: Limit of numbers, which excludes infinity and what is not a number.
_NUMBER_LIMIT = 2**63


@dataclass(frozen=True, slots=True)
class Captured:
    """Exposure of a picture at `captured_s` (monotonic) or later; the other fields are those of `Taken`."""

    captured_s: float
    source: str = "estimated"
    is_settled: bool = True
    settled_by: str | None = None
    settled_after_s: float | None = None


def read_note(data: bytes, *, now_s: float) -> Captured | None:
    """Return what a note, which was read at `now_s` (monotonic), says; None if it is none."""
    try:
        note = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(note, dict):
        return None
    captured_us, source = note.get("captured_us"), note.get("source")
    if not _is_number(captured_us):
        return None
    by, after_s = note.get("settled_by"), note.get("settled_after_s")
    settled_s = float(after_s) if by in _SETTLED_BY and _is_number(after_s) else None
    return Captured(
        min(captured_us / 1e6, now_s),
        source if source in _SOURCES else _SOURCES[-1],
        note.get("settled") is not False,
        None if settled_s is None else by,
        settled_s,
    )


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _NUMBER_LIMIT

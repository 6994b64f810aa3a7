"""Order of a recording's files: by the time at which their media begin, and after a step of the clock as first seen."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

from agent_core.recordings.segments import MediaTimes, Segment

__all__ = ("MOST_NAMES", "in_order", "with_new")

#: A name begins with the time of the first picture. Older versions of the agent left out the zone; MediaMTX before
#: 1.13 cannot write it.
_NAME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})_([0-9]{2})-([0-9]{2})-([0-9]{2})-([0-9]{6})(Z|[+-][0-9]{4})?", re.ASCII
)
#: Offsets of time zones are multiples of 15 minutes, up to 14 hours; summer time adds at most an hour.
_STEP_S, _LARGEST_S, _SUMMER_S = 900, 14 * 3600, 3600
#: A file is closed at most this long after its last picture.
_CLOSED_WITHIN_S = 60
#: Start of a file whose name has no time: such files come first, sorted by name.
_UNKNOWN_S = float("-inf")
#: Most names that a note keeps; with more, it would be too large to be read.
MOST_NAMES = 8_000


@dataclass(frozen=True, slots=True)
class _Start:
    """Start of a file by its name: aware, or without a zone, which then is the server's."""

    named: datetime

    @property
    def has_zone(self) -> bool:
        return self.named.tzinfo is not None

    @property
    def posix_s(self) -> float:
        """POSIX time; a name without a zone counts as local time of this host."""
        try:
            return self.named.timestamp()
        except (ValueError, OverflowError):  # a year without local time
            return self.as_utc_s

    @property
    def as_utc_s(self) -> float:
        """POSIX time if the name were in UTC."""
        return self.named.replace(tzinfo=UTC).timestamp()


def in_order(
    found: Iterable[Segment], seen: Sequence[str], times: Callable[[Segment], MediaTimes]
) -> list[Segment]:
    """Return the files, oldest first.

    Args:
        found: the files of one recording.
        seen: names in the order in which they appeared, from `with_new`. A file follows its predecessor in `seen`
            even if its own time is earlier.
        times: reads a file; called only if names without a zone and times of modification do not show the same order.
    """
    files = sorted(found, key=lambda each: each.name)
    if not seen and all(_in_utc(each.name) for each in files):
        return files
    starts = _starts_s(files, times)
    places = _places(seen, starts)
    return sorted(files, key=lambda each: places.get(each.name, (starts[each.name], 0)))


def _places(seen: Sequence[str], starts: Mapping[str, float]) -> dict[str, tuple[float, int]]:
    places: dict[str, tuple[float, int]] = {}
    latest_s = _UNKNOWN_S
    for number, name in enumerate(seen, 1):
        if name in starts:
            latest_s = max(latest_s, starts[name])
            places[name] = (latest_s, number)
    return places


def _starts_s(files: Sequence[Segment], times: Callable[[Segment], MediaTimes]) -> dict[str, float]:
    named = {each.name: start for each in files if (start := _start(each.name)) is not None}
    starts = {each.name: _UNKNOWN_S for each in files} | {name: each.posix_s for name, each in named.items()}
    timed = [each for each in files if each.name in named]
    by_name = sorted(timed, key=lambda each: starts[each.name])
    if any(one.modified_at >= other.modified_at for one, other in pairwise(by_name)):
        zoneless = [each for each in timed if not named[each.name].has_zone]
        starts |= _starts_from_files(zoneless, named, times)
    return starts


def _start(name: str) -> _Start | None:
    found = _NAME.match(name)
    try:
        if found is None:
            return None
        day, hour, minute, second, micros, zone = found.groups()
        moment = datetime.fromisoformat(f"{day}T{hour}:{minute}:{second}.{micros}")
        return _Start(moment.replace(tzinfo=_zone(zone)))
    except ValueError:
        return None


def _in_utc(name: str) -> bool:
    found = _NAME.match(name)
    return found is not None and found[6] == "Z"


def _zone(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return timezone(-offset if text[0] == "-" else offset)


def _starts_from_files(
    files: Sequence[Segment], named: Mapping[str, _Start], times: Callable[[Segment], MediaTimes]
) -> dict[str, float]:
    """Return the starts by name: from the content, or from the time of modification less the duration.

    Times of modification count only if they are plausible for each file: that of a copied file may be any time.
    """
    starts: dict[str, float] = {}
    offsets: dict[str, int] = {}
    for each in files:
        told = times(each)
        if told.started_s is not None:
            starts[each.name] = told.started_s
        else:
            written_s = each.modified_at.timestamp() - told.duration_s
            apart_s = named[each.name].as_utc_s - written_s
            offset_s = offsets[each.name] = round(apart_s / _STEP_S) * _STEP_S
            if abs(apart_s - offset_s) > _CLOSED_WITHIN_S or abs(offset_s) > _LARGEST_S:
                return starts
    if not offsets or max(offsets.values()) - min(offsets.values()) > _SUMMER_S:
        return starts
    return starts | {name: named[name].as_utc_s - offset_s for name, offset_s in offsets.items()}


def with_new(
    order: tuple[str, ...], before: Sequence[str], now: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take in the files that appeared between two looks at a recording that is being written.

    Args:
        order: the `seen` of `in_order` so far.
        before: the names at the last look, in order; empty at the first look.
        now: the names at this look, in the order that `in_order` gives.

    Returns:
        The new `seen`, and `now` in its order. A new file whose time is not the latest was made after the clock was set
        back; it counts as the newest nevertheless.
    """
    present = set(now)
    remaining = [name for name in before if name in present]
    if not remaining:
        return order, tuple(now)
    known, last_at = set(remaining), now.index(remaining[-1])
    late = tuple(name for name in now[:last_at] if name not in known)
    if not late or len(order) + len(late) >= MOST_NAMES:
        return order, tuple(now)
    kept = tuple(name for name in now[:last_at] if name in known) + tuple(now[last_at:])
    anchor = () if order[-1:] == kept[-1:] else kept[-1:]
    return order + anchor + late, kept + late

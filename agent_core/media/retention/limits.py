"""Decisions of retention, without I/O: which media are too old, too many or too large, and which of them go first."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from agent_core.media.index import CameraTotals, OldEntry
from agent_core.media.index.entries import LATEST_NS, limited_ns

__all__ = (
    "AHEAD",
    "FIRST_VERSION",
    "FROM_START",
    "Limits",
    "Plan",
    "Rule",
    "age_limit",
    "is_expired",
    "order_of",
    "posix_ns",
    "spans",
    "surplus",
)

#: Before the first version of this agent: an older time is that of a clock that has not been set.
FIRST_VERSION = datetime(2026, 1, 1, tzinfo=UTC)
#: A file's time may be this much later than now without doubt about the clock.
AHEAD = timedelta(seconds=60)
#: Cursor before all entries.
FROM_START = (-LATEST_NS - 1, "")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one kind of media, each None for no limit.

    Attributes:
        max_age_s: age (seconds) at which a file goes.
        max_count: most finished files of each camera.
        max_bytes: most bytes of all cameras together.
    """

    max_age_s: float | None = None
    max_count: int | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Limit on the bytes of some kinds of media together."""

    kinds: tuple[str, ...]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Limits in force: by age and by number for each kind, by size for one or more kinds together."""

    ages_s: tuple[tuple[str, float], ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    sizes: tuple[Rule, ...] = ()

    @property
    def is_empty(self) -> bool:
        """True if no limit is in force."""
        return self == Plan()

    @property
    def max_age_s(self) -> float | None:
        """Shortest of the ages (seconds); None without one."""
        return min((age_s for _, age_s in self.ages_s), default=None)


def posix_ns(moment: datetime) -> int:
    """Return the POSIX time in nanoseconds, as the index limits it."""
    return limited_ns((moment - _EPOCH) // timedelta(microseconds=1) * 1000)


def age_limit(now: datetime, max_age_s: float) -> datetime:
    """Return the time before which a file is too old; one so long ago that there is no date is the earliest date."""
    try:
        return now - timedelta(seconds=max_age_s)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)


def is_expired(at: datetime, limit: datetime) -> bool:
    """Return True for a file that is too old; the time of a clock that was never set tells no age."""
    return FIRST_VERSION <= at < limit


def spans(now: datetime) -> tuple[tuple[tuple[int, str], int], ...]:
    """Return the cursor and the end (ns) of the two spans of time in which files are read, oldest first.

    A file from the future was made before the clock was put right, so it counts as older than the others.
    """
    limit_ns = posix_ns(now + AHEAD) + 1
    return (((limit_ns - 1, "\U0010ffff"), LATEST_NS + 1), (FROM_START, limit_ns))


def order_of(entry: OldEntry, now: datetime) -> tuple[bool, int, str]:
    """Return the key by which files are sorted, oldest first. See `spans`."""
    return entry.at_ns <= posix_ns(now + AHEAD), entry.at_ns, entry.name


def surplus(totals: CameraTotals, max_count: int) -> int:
    """Return how many of a camera's finished files are too many; open ones are not counted."""
    return max(0, totals.count - totals.open_count - max_count)

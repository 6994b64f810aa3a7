"""Memory of what tiers did at each camera: how long captures took, and the last failure. Bounded, without I/O."""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field

from agent_core.base.errors import AgentError, TierUnavailable
from agent_core.base.models import CameraId
from agent_core.snapshots.durations import Durations, RecentDurations
from agent_core.snapshots.planner import HELD_REASONS, Failure

__all__ = ("Attempt", "Conditions", "TierHistories")

#: Cameras that are remembered; those photographed longest ago are forgotten first.
MAX_CAMERAS = 128
#: Captures that are remembered of each tier, camera and condition, and the age at which they no longer count.
_CAPTURES, FORGET_AFTER_S = 5, 3600.0
#: Time without a capture after which nothing is said about a tier, so that it is tried once at the place of its rank:
#: it may have become faster.
PROBE_AFTER_S = 600.0
#: Captures without which nothing is said about a tier: the first ones may take longer, while a tier warms up.
_ENOUGH = 5
#: First pause after a failure, at least and as a multiple of the attempt's duration; it doubles with each failure in a
#: row. So a tier that fails slowly costs a small part of the callers' time.
_FIRST_PAUSE_S, _PAUSE_FACTOR = 1.0, 4.0
LONGEST_PAUSE_S = 60.0
#: Longest pause in which a tier is not tried even if no other is left: a camera that another program has released
#: must be usable soon.
LONGEST_REFUSAL_S = 5.0
#: Exponent at which the pause surely is the longest one.
_LAST_DOUBLING = 10
#: Limits (s) between requests for a new exposure, for a recent one and for any.
_AGE_CLASSES_S = (0.1, 1.0)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions under which captures take about the same time.

    Args:
        is_running: the tier's device or stream runs already.
        max_age_s: the age that the request allowed.
    """

    is_running: bool
    max_age_s: float

    @property
    def kind(self) -> tuple[bool, int]:
        return self.is_running, bisect_right(_AGE_CLASSES_S, self.max_age_s)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attempt of one tier at one camera, which began at `started_s` and ended at `ended_s` (monotonic).

    `left_s` is the time that was left at its beginning, at most the tier's limit.
    """

    camera: CameraId
    tier: int
    conditions: Conditions
    started_s: float
    ended_s: float
    left_s: float

    @property
    def duration_s(self) -> float:
        return self.ended_s - self.started_s


@dataclass(slots=True)
class _TierHistory:
    failures: int = 0
    failure: Failure | None = None
    captures: dict[tuple[bool, int], RecentDurations] = field(default_factory=dict)


class TierHistories:
    """Histories of all tiers at the cameras photographed last."""

    def __init__(self) -> None:
        self._cameras: OrderedDict[CameraId, dict[int, _TierHistory]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._cameras)

    def learned(self, camera: CameraId, tier: int, conditions: Conditions, now_s: float) -> Durations | None:
        """Return the durations of the latest captures under these conditions; None if there are too few."""
        known = self._known(camera, tier)
        captures = known.captures.get(conditions.kind) if known else None
        if captures is None or now_s - captures.newest_s > PROBE_AFTER_S:
            return None
        return captures.summary(now_s, at_least=_ENOUGH)

    def failure(self, camera: CameraId, tier: int) -> Failure | None:
        """Return the tier's last attempt at the camera, if that failed."""
        known = self._known(camera, tier)
        return known.failure if known else None

    def succeeded(self, attempt: Attempt) -> None:
        """Remember a capture and forget the failures before it."""
        history = self._touched(attempt.camera, attempt.tier)
        history.failures, history.failure = 0, None
        captures = history.captures.setdefault(
            attempt.conditions.kind, RecentDurations(_CAPTURES, forget_after_s=FORGET_AFTER_S)
        )
        captures.add(attempt.duration_s, attempt.ended_s)

    def failed(self, attempt: Attempt, error: AgentError) -> None:
        """Remember a failure, with pauses that grow with each one in a row.

        A tier that says that it is not available has tried nothing: its pauses do not grow.
        """
        history = self._touched(attempt.camera, attempt.tier)
        if history.failure is not None and attempt.ended_s - history.failure.at_s > PROBE_AFTER_S:
            history.failures = 0
        is_refusal = isinstance(error, TierUnavailable)
        history.failures += not is_refusal
        pause_s = _pause_s(attempt.duration_s, 0 if is_refusal else history.failures)
        refusal_s = min(pause_s, LONGEST_REFUSAL_S) if error.reason in HELD_REASONS else 0.0
        history.failure = Failure(
            error.reason,
            error.details,
            error.suggestion,
            at_s=attempt.ended_s,
            until_s=attempt.ended_s + pause_s,
            refused_until_s=attempt.ended_s + refusal_s,
            ran_out_of_s=attempt.left_s if error.reason == "timed_out" else None,
            older_than_s=attempt.conditions.max_age_s if error.reason == "too_old" else None,
        )

    def _known(self, camera: CameraId, tier: int) -> _TierHistory | None:
        return self._cameras.get(camera, {}).get(tier)

    def _touched(self, camera: CameraId, tier: int) -> _TierHistory:
        tiers = self._cameras.setdefault(camera, {})
        self._cameras.move_to_end(camera)
        while len(self._cameras) > MAX_CAMERAS:
            self._cameras.popitem(last=False)
        return tiers.setdefault(tier, _TierHistory())


def _pause_s(duration_s: float, failures: int) -> float:
    """Return the pause after `failures` in a row; 0 of them means a refusal, which costs only its own time."""
    first_s = _PAUSE_FACTOR * duration_s
    if failures:
        first_s = max(_FIRST_PAUSE_S, first_s) * 2 ** min(failures - 1, _LAST_DOUBLING)
    return min(first_s, LONGEST_PAUSE_S)

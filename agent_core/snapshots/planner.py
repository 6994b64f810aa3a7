"""Plan of one snapshot: which tiers to try, in which order, how long each, and why the others are left out.

Decides without I/O, from facts and times that it is given. The ladder plans again after each failed step, because an
attempt changes what is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from agent_core.mediamtx.link import ServerState
from agent_core.plugin.abc import TierNeed
from agent_core.snapshots.durations import Durations
from agent_core.snapshots.facts import CameraFacts

__all__ = ("HELD_REASONS", "Candidate", "Failure", "Limits", "Plan", "Skip", "Step", "is_running", "plan")

#: Reasons of failures that last until another program acts: trying again within a moment is of no use.
HELD_REASONS = frozenset({"device_busy"})
#: Time (s) that a tier probably needs before its captures have been measured, kept free for it while an earlier tier
#: runs: about a camera's first frame, FFmpeg's start, a group of pictures, and a publisher's start.
_USUAL_NEED_S = {
    TierNeed.FRAMES: 1.0,
    TierNeed.INPUT: 1.5,
    TierNeed.LIVE_STREAM: 1.0,
    TierNeed.STREAM: 3.0,
    TierNeed.NOTHING: 1.0,
}
#: Room above the 95th percentile of a tier's measured captures: a factor and a number of seconds.
_NEED_FACTOR, _NEED_EXTRA_S = 1.25, 0.05
#: Share of its need that is kept for a tier at a later place, which will probably not serve.
_DOUBTFUL_SHARE = 0.25
#: Most of the remaining time that is kept free for later tiers.
_LARGEST_RESERVE = 0.5
#: Lead of a tier that moves ahead of one of lower rank, so that noise does not change the order.
_LEAD_FACTOR, _LEAD_S = 1.5, 0.05
#: Time (s) that a capture through a stream usually takes. A stream that has not been measured passes a tier that has
#: been clearly slower than that; otherwise it would never be measured while that tier works.
_USUAL_STREAM_S = {TierNeed.LIVE_STREAM: 0.1, TierNeed.STREAM: 3.0}
#: Time beyond that of a timed-out attempt, as a factor, with which the attempt is worth another try; and the
#: age beyond the one that an attempt's picture exceeded.
_MORE_TIME, _MORE_AGE_S = 1.5, 0.05


@dataclass(frozen=True, slots=True)
class Failure:
    """Last failed attempt of a tier at a camera. Times are monotonic seconds.

    Attributes:
        reason: reason word of the attempt.
        details: sentence of the attempt.
        suggestion: next step for the operator.
        at_s: end of the attempt.
        until_s: end of the pause in which other tiers are preferred.
        refused_until_s: end of the pause in which the tier is not tried at all.
        ran_out_of_s: time left at the beginning of an attempt that timed out, at most the tier's limit; None if it
            failed by itself. Not its budget, which depends on the tiers that follow.
        older_than_s: `max_age_s` that the attempt's picture exceeded; None if it failed for another reason.
    """

    reason: str
    details: str
    suggestion: str
    at_s: float
    until_s: float
    refused_until_s: float
    ran_out_of_s: float | None = None
    older_than_s: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """Tier that supports the camera and has not been tried for this snapshot.

    Attributes:
        key: number by which the caller knows the tier.
        limit_s: configured limit of one capture.
        latency_s: least age of its pictures when they arrive, as it dates them.
        learned: durations of its latest captures under the present conditions; None if there are too few.
        failure: its last attempt at this camera, if that failed.
    """

    key: int
    rank: int
    name: str
    needs: TierNeed
    limit_s: float
    latency_s: float = 0.0
    learned: Durations | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Time limits of one snapshot, and the present time, in monotonic seconds."""

    now_s: float
    not_before_s: float
    deadline_s: float

    @property
    def left_s(self) -> float:
        return self.deadline_s - self.now_s

    @property
    def max_age_s(self) -> float:
        return self.now_s - self.not_before_s


@dataclass(frozen=True, slots=True)
class Skip:
    """Reason for which a tier is not tried, or not at its place: a word, a sentence and the next step."""

    reason: str
    details: str
    suggestion: str = ""


_TIME_IS_UP = Skip("deadline_exceeded", "The deadline had passed.", "Allow a larger deadline_ms.")
_NOT_LIVE = Skip("not_live", "No stream of the camera is live.", "Start one with start_streaming.")
_NO_SERVER = Skip(
    "no_media_server",
    "There is no media server.",
    "Enable the plugin embedded_server, or set media_server.mode to managed or external.",
)
_SERVER_DOWN = Skip(
    "media_server_down",
    "The media server does not answer.",
    "Wait; the agent asks it again by itself and continues when it answers.",
)


@dataclass(frozen=True, slots=True)
class Step:
    """Attempt of one tier with its time budget; `note` says why it comes later than its rank would have it."""

    candidate: Candidate
    budget_s: float
    note: Skip | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Attempts in order, and the tiers that cannot serve now with their reasons."""

    steps: tuple[Step, ...]
    skipped: tuple[tuple[Candidate, Skip], ...]


class _Place(IntEnum):
    """Part of the order that a tier belongs to."""

    NORMAL = 0
    UNLIKELY_IN_TIME = 1
    LAST_RESORT = 2


@dataclass(frozen=True, slots=True)
class _Placed:
    candidate: Candidate
    place: _Place
    note: Skip | None = None


def plan(candidates: Iterable[Candidate], facts: CameraFacts, limits: Limits) -> Plan:
    """Return the steps for one snapshot.

    A tier that cannot work or cannot finish in time is skipped; if that leaves none, a tier of live streams is tried, as
    another program may have started one since. A tier that failed a moment ago comes last, until its pause is over or
    the facts have changed. The others are ordered by rank, except that a measured tier passes those
    that it has clearly been faster than. The budgets together fit into the time left.
    """
    placed: list[_Placed] = []
    skipped: list[tuple[Candidate, Skip]] = []
    for candidate in sorted(candidates, key=lambda each: each.rank):
        judged = _judge(candidate, facts, limits)
        if isinstance(judged, Skip):
            skipped.append((candidate, judged))
        else:
            placed.append(judged)
    if not placed:
        placed = [_Placed(each, _Place.LAST_RESORT, skip) for each, skip in skipped if skip is _NOT_LIVE]
        skipped = [(each, skip) for each, skip in skipped if skip is not _NOT_LIVE]
    return Plan(_budgeted(_ordered(placed, facts, limits), facts, limits), tuple(skipped))


def _judge(candidate: Candidate, facts: CameraFacts, limits: Limits) -> Skip | _Placed:
    if limits.left_s <= 0:
        return _TIME_IS_UP
    if obstacle := _obstacle(candidate, facts, limits):
        return obstacle
    if _is_at_hand(candidate, facts, limits):
        return _Placed(candidate, _Place.NORMAL)
    if failure := _standing_failure(candidate, facts, limits):
        return _judge_failed(candidate, failure, limits.now_s)
    if _is_doubtful(candidate, facts):
        return _Placed(candidate, _Place.LAST_RESORT, _device_problem(facts))
    return _judge_speed(candidate, limits)


def _judge_failed(candidate: Candidate, failure: Failure, now_s: float) -> Skip | _Placed:
    if now_s < failure.refused_until_s:
        return Skip(failure.reason, failure.details, failure.suggestion)
    lately = Skip(
        "recently_failed",
        f"It failed {now_s - failure.at_s:.1f} s ago ({failure.reason}): {failure.details}",
        failure.suggestion,
    )
    return _Placed(candidate, _Place.LAST_RESORT, lately)


def _judge_speed(candidate: Candidate, limits: Limits) -> Skip | _Placed:
    learned = candidate.learned
    if learned is None or learned.p50_s <= limits.left_s:
        return _Placed(candidate, _Place.NORMAL)
    too_slow = Skip(
        "too_slow",
        f"It has lately taken at least {learned.best_s:.2f} s, and {limits.left_s:.2f} s were left.",
        "Allow a larger deadline_ms.",
    )
    return (
        too_slow if learned.best_s > limits.left_s else _Placed(candidate, _Place.UNLIKELY_IN_TIME, too_slow)
    )


# What cannot work now.


def _too_late(candidate: Candidate, limits: Limits) -> Skip | None:
    """Return the reason if no picture of the tier can be fresh enough and arrive in time."""
    wait_s = limits.not_before_s + candidate.latency_s - limits.now_s
    left_s = min(candidate.limit_s, limits.left_s)
    if wait_s <= left_s:
        return None
    return Skip(
        "too_slow",
        f"Its pictures are {candidate.latency_s:.2f} s old when they arrive, so the first one that is fresh enough "
        f"would arrive in {wait_s:.2f} s; {left_s:.2f} s were left.",
        "Allow a larger max_age_ms or deadline_ms.",
    )


def _is_at_hand(candidate: Candidate, facts: CameraFacts, limits: Limits) -> bool:
    """Return True if the broker has a frame already that is fresh enough and a picture as it is."""
    newest_s = facts.device.newest_s if facts.device is not None else None
    has_picture = not facts.frames_are_coded and newest_s is not None and newest_s >= limits.not_before_s
    return candidate.needs is TierNeed.FRAMES and has_picture


def _obstacle(candidate: Candidate, facts: CameraFacts, limits: Limits) -> Skip | None:
    if late := _too_late(candidate, limits):
        return late
    if candidate.needs in (TierNeed.LIVE_STREAM, TierNeed.STREAM):
        if facts.server is ServerState.ABSENT:
            return _NO_SERVER
        if facts.server is ServerState.DOWN:
            return _SERVER_DOWN
    if candidate.needs is TierNeed.LIVE_STREAM and facts.live_since_s is None:
        return _NOT_LIVE
    refusing = facts.device is not None and facts.device.is_refusing and _opens_device(candidate, facts)
    if refusing and not _is_at_hand(candidate, facts, limits):
        return _device_problem(facts)
    return None


def is_running(needs: TierNeed, facts: CameraFacts) -> bool:
    """Return True if the device or the stream that a tier needs runs already: its captures then take less time."""
    if needs in (TierNeed.LIVE_STREAM, TierNeed.STREAM):
        return facts.live_since_s is not None
    uses_broker = needs is TierNeed.FRAMES or (needs is TierNeed.INPUT and facts.input_is_broker)
    return uses_broker and facts.device is not None and facts.device.is_streaming


def _opens_device(candidate: Candidate, facts: CameraFacts) -> bool:
    """Return True if the tier's capture would open the device behind the broker."""
    if candidate.needs is TierNeed.FRAMES:
        return True
    starts = candidate.needs is TierNeed.STREAM and facts.live_since_s is None
    return facts.input_is_broker and (starts or candidate.needs is TierNeed.INPUT)


def _is_doubtful(candidate: Candidate, facts: CameraFacts) -> bool:
    """Return True if the tier goes a long way round to a device that failed: the broker's own tier finds out sooner."""
    failed = facts.device is not None and facts.device.problem is not None
    return failed and candidate.needs is not TierNeed.FRAMES and _opens_device(candidate, facts)


def _device_problem(facts: CameraFacts) -> Skip | None:
    problem = facts.device.problem if facts.device is not None else None
    return None if problem is None else Skip(problem.reason, problem.details, problem.suggestion)


# What failed a moment ago.


def _standing_failure(candidate: Candidate, facts: CameraFacts, limits: Limits) -> Failure | None:
    """Return the candidate's last failure if it still says something about this snapshot."""
    failure = candidate.failure
    if failure is None or limits.now_s >= failure.until_s or _changed_s(candidate, facts) > failure.at_s:
        return None
    left_s = min(candidate.limit_s, limits.left_s)
    if failure.ran_out_of_s is not None and left_s > failure.ran_out_of_s * _MORE_TIME:
        return None
    if failure.older_than_s is not None and limits.max_age_s > failure.older_than_s + _MORE_AGE_S:
        return None
    return failure


def _changed_s(candidate: Candidate, facts: CameraFacts) -> float:
    """Return the time of the latest change for the better of what the tier depends on."""
    changes = [facts.connected_s]
    if candidate.needs in (TierNeed.LIVE_STREAM, TierNeed.STREAM):
        changes.append(facts.live_since_s)
    if facts.device is not None and facts.device.problem is None and _opens_device(candidate, facts):
        changes.append(facts.device.since_s)
    return max((each for each in changes if each is not None), default=float("-inf"))


# Order and budgets.


def _ordered(placed: Sequence[_Placed], facts: CameraFacts, limits: Limits) -> list[_Placed]:
    """Order by place, then by rank; a clearly faster tier passes those of lower rank at the same place."""
    ordered: list[_Placed] = []
    for each in sorted(placed, key=lambda one: one.place):
        at = len(ordered)
        while at and _passes(each, ordered[at - 1], facts, limits):
            at -= 1
        ordered.insert(at, each)
        ordered[at + 1 :] = [_with_note(passed, each.candidate) for passed in ordered[at + 1 :]]
    return ordered


def _passes(faster: _Placed, slower: _Placed, facts: CameraFacts, limits: Limits) -> bool:
    if faster.place is not slower.place or _is_at_hand(slower.candidate, facts, limits):
        return False
    if faster.candidate.needs is TierNeed.INPUT and facts.input_is_broker:
        return False  # a long way round to the same frames
    mine_s, theirs = _expected_s(faster.candidate), slower.candidate.learned
    return mine_s is not None and theirs is not None and mine_s * _LEAD_FACTOR + _LEAD_S < theirs.p50_s


def _expected_s(candidate: Candidate) -> float | None:
    """Return the duration of most captures; None if nothing is known about it."""
    learned = candidate.learned
    return learned.p50_s if learned is not None else _USUAL_STREAM_S.get(candidate.needs)


def _with_note(passed: _Placed, by: Candidate) -> _Placed:
    note = Skip("slower", f"It has lately been slower than the tier {by.name} probably is.")
    return passed if passed.note else replace(passed, note=note)


def _budgeted(ordered: Sequence[_Placed], facts: CameraFacts, limits: Limits) -> tuple[Step, ...]:
    steps: list[Step] = []
    left_s = limits.left_s
    for number, each in enumerate(ordered):
        reserve_s = _reserve_s(each, ordered[number + 1 :], facts)
        budget_s = _budget_s(each, left_s, reserve_s)
        steps.append(Step(each.candidate, budget_s, each.note))
        left_s -= budget_s
    return tuple(steps)


def _budget_s(placed: _Placed, left_s: float, reserve_s: float) -> float:
    """Return the time for one step: all but the reserve, and at least what the tier has proved to need."""
    budget_s = left_s - min(reserve_s, left_s * _LARGEST_RESERVE)
    if placed.place is _Place.NORMAL and placed.candidate.learned is not None:
        budget_s = max(budget_s, _need_s(placed.candidate))
    return max(0.0, min(budget_s, left_s, placed.candidate.limit_s))


def _reserve_s(placed: _Placed, later: Sequence[_Placed], facts: CameraFacts) -> float:
    """Return the time to keep for later tiers, except those that need the same device."""
    same_device = _opens_device(placed.candidate, facts)
    return sum(
        min(_need_s(each.candidate), each.candidate.limit_s)
        * (_DOUBTFUL_SHARE if each.place > placed.place else 1.0)
        for each in later
        if not (same_device and _opens_device(each.candidate, facts))
    )


def _need_s(candidate: Candidate) -> float:
    learned = candidate.learned
    return learned.p95_s * _NEED_FACTOR + _NEED_EXTRA_S if learned else _USUAL_NEED_S[candidate.needs]

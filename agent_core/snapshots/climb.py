"""One climb of the ladder: planned, tried step by step, and planned again after each failure."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, CaptureFailed, PluginError
from agent_core.base.models import Camera, CameraId, Picture
from agent_core.cameras.gates import admitted
from agent_core.plugin import CaptureRequest, SnapshotTier, TierNeed
from agent_core.snapshots.captured import checked_picture
from agent_core.snapshots.facts import CameraFacts, FactSource
from agent_core.snapshots.history import Attempt, Conditions, TierHistories
from agent_core.snapshots.metrics import TierMeter, TierMetrics
from agent_core.snapshots.models import TierAttempt
from agent_core.snapshots.planner import Candidate, Limits, Plan, Skip, Step, is_running, plan

__all__ = ("AllTiersFailed", "Climber", "Still")

_log = logging.getLogger("camera_agent.snapshots")

#: Reasons that say least about a camera without a picture.
_UNTELLING = frozenset({"tier_unavailable", "not_live", "no_media_server", "deadline_exceeded"})
#: Next step for a camera whose coded video no tier of this agent decodes.
_DECODER_ADVICE = "Enable the plugin rtsp_tier, which decodes the camera's own video."


class AllTiersFailed(CaptureFailed):
    """No tier took a picture; `attempts` has the reason of each.

    `reason` is that of the last tier that was tried; if none was, of the first tier that was left out. Reasons that only
    say that a tier or a stream is not available come after others.
    """

    def __init__(self, camera: CameraId, attempts: Sequence[TierAttempt], *, advice: str = "") -> None:
        """Describe the attempts; `advice` is a next step that does not depend on them."""
        main = _main(attempts)
        steps = (
            main.suggestion if main else "" if advice else "Enable a plugin that provides a snapshot tier."
        )
        super().__init__(
            f"{camera} gave no picture: {main.details}"
            if main
            else f"No tier can take a picture of {camera}.",
            reason=main.reason if main else "no_tier",
            suggestion=" ".join(filter(None, (steps, advice))) or None,
        )
        self.attempts = tuple(attempts)

    def data(self) -> dict[str, object]:
        tried = [
            {
                "tier": each.rank,
                "name": each.name,
                "reason": each.reason,
                "details": each.details,
                "ms": round(each.duration_s * 1000),
            }
            for each in self.attempts
        ]
        return super().data() | {"tiers_tried": tried}


def _main(attempts: Sequence[TierAttempt]) -> TierAttempt | None:
    """Return the attempt that tells most about the failure of all."""
    telling = [each for each in attempts if each.reason not in _UNTELLING]
    tried = [each for each in telling if each.was_tried]
    return next(iter([*reversed(tried), *telling, *reversed(attempts)]), None)


@dataclass(frozen=True, slots=True)
class Still:
    """Picture with its tier, the tiers that gave none before it, and the time that the capture took."""

    picture: Picture
    rank: int
    tier: str
    attempts: tuple[TierAttempt, ...]
    duration_s: float
    finished_s: float


class Climber:
    """Takes a still by trying tiers as planned; remembers what they did. Arguments: those of `SnapshotLadder`."""

    def __init__(
        self, tiers: Iterable[SnapshotTier], *, budgets_s: Sequence[float], clock: Clock, facts: FactSource
    ) -> None:
        self._tiers = sorted(tiers, key=lambda tier: tier.rank)
        self._limits_s = [budgets_s[min(tier.rank, len(budgets_s) - 1)] for tier in self._tiers]
        self._clock = clock
        self._facts = facts
        self._histories = TierHistories()
        self._meters = [TierMeter(tier.rank, tier.name) for tier in self._tiers]

    @property
    def tiers(self) -> tuple[SnapshotTier, ...]:
        return tuple(self._tiers)

    @property
    def metrics(self) -> tuple[TierMetrics, ...]:
        now_s = self._clock.monotonic_s()
        return tuple(meter.metrics(now_s) for meter in self._meters)

    async def climb(self, camera: Camera, request: CaptureRequest) -> Still:
        """Return a picture for `request`.

        Raises:
            AllTiersFailed: no tier took a picture.
        """
        started_s = self._clock.monotonic_s()
        untried, attempts = self._supporting(camera)
        can_decode = any(self._tiers[each].needs is TierNeed.FRAMES for each in untried)
        while True:
            facts, made = self._plan(untried, camera, request)
            if not made.steps:
                break
            step = made.steps[0]
            del untried[step.candidate.key]
            outcome = await self._try(step, facts, camera, request)
            if isinstance(outcome, Picture):
                return self._still(outcome, step, made, attempts, started_s)
            attempts.append(outcome)
        attempts += [self._skipped(candidate, skip) for candidate, skip in made.skipped]
        advice = _DECODER_ADVICE if facts.frames_are_coded and not can_decode else ""
        raise AllTiersFailed(camera.id, attempts, advice=advice)

    def _supporting(self, camera: Camera) -> tuple[dict[int, float], list[TierAttempt]]:
        """Return the latencies (s) by number of the tiers that support the camera, and the failures of the others.

        A failure is that of a tier that cannot say what it supports or how old its pictures are.
        """
        latencies_s: dict[int, float] = {}
        failures: list[TierAttempt] = []
        for number, tier in enumerate(self._tiers):
            try:
                if _supports(tier, camera):
                    latencies_s[number] = _latency_s(tier, camera)
            except AgentError as error:
                self._meters[number].failed(error.reason)
                failures.append(_attempt(tier, error, 0.0))
        return latencies_s, failures

    def _plan(
        self, untried: Mapping[int, float], camera: Camera, request: CaptureRequest
    ) -> tuple[CameraFacts, Plan]:
        limits = Limits(self._clock.monotonic_s(), request.not_before_s, request.deadline_s)
        facts = self._facts.about(camera)
        candidates = [
            replace(self._candidate(number, camera.id, facts, limits), latency_s=latency_s)
            for number, latency_s in untried.items()
        ]
        return facts, plan(candidates, facts, limits)

    def _candidate(self, number: int, camera: CameraId, facts: CameraFacts, limits: Limits) -> Candidate:
        tier, now_s = self._tiers[number], limits.now_s
        conditions = Conditions(is_running(tier.needs, facts), limits.max_age_s)
        return Candidate(
            key=number,
            rank=tier.rank,
            name=tier.name,
            needs=tier.needs,
            limit_s=self._limits_s[number],
            learned=self._histories.learned(camera, number, conditions, now_s),
            failure=self._histories.failure(camera, number),
        )

    async def _try(
        self, step: Step, facts: CameraFacts, camera: Camera, request: CaptureRequest
    ) -> Picture | TierAttempt:
        """Run one step, and remember and count how it ended."""
        number = step.candidate.key
        tier, meter = self._tiers[number], self._meters[number]
        started_s = self._clock.monotonic_s()
        conditions = Conditions(is_running(tier.needs, facts), started_s - request.not_before_s)
        own = CaptureRequest(request.not_before_s, started_s + step.budget_s)
        failure: AgentError | None = None
        try:
            picture = await _capture(tier, camera, own, step.budget_s)
        except AgentError as error:
            failure = error
        ended_s = self._clock.monotonic_s()
        left_s = min(step.candidate.limit_s, request.deadline_s - started_s)
        attempt = Attempt(camera.id, number, conditions, started_s, ended_s, left_s)
        if failure is None:
            meter.took_picture(attempt.duration_s, ended_s)
            self._histories.succeeded(attempt)
            return picture
        meter.failed(failure.reason)
        self._histories.failed(attempt, failure)
        _log.info("%s", failure.details, extra={"fields": {"camera": camera.id, "tier": tier.name}})
        return _attempt(tier, failure, attempt.duration_s)

    def _still(
        self, picture: Picture, step: Step, made: Plan, attempts: Sequence[TierAttempt], started_s: float
    ) -> Still:
        """Return the still with the failed attempts, and with the tiers of lower rank that were not tried."""
        rank, now_s = step.candidate.rank, self._clock.monotonic_s()
        passed = [*made.skipped, *((each.candidate, each.note) for each in made.steps[1:] if each.note)]
        skipped = [self._skipped(each, skip) for each, skip in passed if each.rank < rank]
        explained = (*attempts, *sorted(skipped, key=lambda each: each.rank))
        return Still(picture, rank, step.candidate.name, explained, now_s - started_s, now_s)

    def _skipped(self, candidate: Candidate, skip: Skip) -> TierAttempt:
        self._meters[candidate.key].skipped(skip.reason)
        return TierAttempt(
            candidate.rank,
            candidate.name,
            skip.reason,
            skip.details,
            suggestion=skip.suggestion,
            was_tried=False,
        )


async def _capture(tier: SnapshotTier, camera: Camera, request: CaptureRequest, budget_s: float) -> Picture:
    """Capture with one tier within its budget; turn any error of the tier into an AgentError."""
    with anyio.move_on_after(budget_s):
        with _explained(tier, camera):
            if tier.needs is TierNeed.INPUT:
                camera = await admitted(camera)
            picture = checked_picture(tier.name, await tier.capture(camera, request))
        if picture.captured_s < request.not_before_s:
            raise CaptureFailed(
                f"The tier {tier.name} gave a picture of {camera.id} that was "
                f"{request.not_before_s - picture.captured_s:.3f} s older than allowed.",
                reason="too_old",
                suggestion="Allow a larger max_age_ms; if that does not help, check that the camera sends new pictures.",
            )
        return picture
    raise CaptureFailed(
        f"The tier {tier.name} gave no picture of {camera.id} within {budget_s:.1f} s.",
        reason="timed_out",
        suggestion="Allow a larger deadline_ms.",
    )


@contextmanager
def _explained(tier: SnapshotTier, camera: Camera) -> Iterator[None]:
    """Turn any error that the tier (foreign code) raises inside into a CaptureFailed that names the tier."""
    try:
        with contained(f"The tier {tier.name}"):
            yield
    except CaptureFailed:
        raise
    except PluginError as error:
        raise CaptureFailed(error.details, reason="tier_error", suggestion=error.suggestion) from error
    except AgentError:
        raise
    except Exception as error:
        _log.exception("the tier %s failed", tier.name, extra={"fields": {"camera": camera.id}})
        raise CaptureFailed(
            f"The tier {tier.name} failed: it raised {type(error).__name__}.",
            reason="tier_error",
            suggestion="Tell the plugin's author; the agent's log has the error.",
        ) from error


def _supports(tier: SnapshotTier, camera: Camera) -> bool:
    with _explained(tier, camera):
        answer: object = tier.supports(camera)
        if isinstance(answer, bool):
            return answer
        raise CaptureFailed(
            f"The tier {tier.name} failed: its supports() returned {type(answer).__name__} instead of a bool.",
            reason="tier_error",
            suggestion="Tell the plugin's author.",
        )


def _latency_s(tier: SnapshotTier, camera: Camera) -> float:
    with _explained(tier, camera):
        answer: object = tier.latency_s(camera)
        if isinstance(answer, int | float) and 0 <= answer < math.inf:
            return answer
        raise CaptureFailed(
            f"The tier {tier.name} failed: its latency_s() did not return a number of seconds from 0.",
            reason="tier_error",
            suggestion="Tell the plugin's author.",
        )


def _attempt(tier: SnapshotTier, error: AgentError, duration_s: float) -> TierAttempt:
    return TierAttempt(tier.rank, tier.name, error.reason, error.details, duration_s, error.suggestion)

"""Ladder of snapshot tiers: tried in order, a time budget for each, one capture for all waiting callers."""

import logging
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import anyio

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, CaptureFailed, PluginError, TierUnavailable
from agent_core.base.locks import KeyedLock
from agent_core.base.models import Camera, CameraId, CameraStatus, Picture
from agent_core.plugin import CaptureRequest, SnapshotTier
from agent_core.snapshots.captured import checked_picture
from agent_core.snapshots.models import TierAttempt

__all__ = ("AllTiersFailed", "SnapshotLadder", "Still")

_log = logging.getLogger("camera_agent.snapshots")


class AllTiersFailed(CaptureFailed):
    """No tier took a picture; `attempts` has the reason of each, and `reason` is that of the last one that tried."""

    def __init__(self, camera: CameraId, attempts: Sequence[TierAttempt], cause: AgentError | None) -> None:
        tried = [each for each in attempts if each.reason != "tier_unavailable"] or list(attempts)
        super().__init__(
            f"{camera} gave no picture: {tried[-1].details}"
            if tried
            else f"No tier can take a picture of {camera}.",
            reason=tried[-1].reason if tried else "no_tier",
            suggestion=cause.suggestion if cause else "Enable a plugin that provides a snapshot tier.",
        )
        self.attempts = tuple(attempts)

    def data(self) -> dict[str, object]:
        tried = [
            {"tier": each.rank, "name": each.name, "reason": each.reason, "ms": round(each.duration_s * 1000)}
            for each in self.attempts
        ]
        return super().data() | {"tiers_tried": tried}


@dataclass(frozen=True, slots=True)
class Still:
    """Picture with its tier, the failed attempts before it, and the time that the capture took."""

    picture: Picture
    rank: int
    tier: str
    attempts: tuple[TierAttempt, ...]
    duration_s: float
    finished_s: float


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Result of one climb, shared with the callers that waited for it."""

    started_s: float
    value: Still | AllTiersFailed

    def serves(self, called_s: float, not_before_s: float) -> bool:
        """Return True if a caller may share this result.

        A picture must have been finished after the call and be fresh enough; a failed climb must have begun after it.
        """
        if isinstance(self.value, AllTiersFailed):
            return self.started_s >= called_s
        return self.value.finished_s >= called_s and self.value.picture.captured_s >= not_before_s

    def result(self) -> Still:
        if isinstance(self.value, AllTiersFailed):
            raise self.value
        return self.value


class SnapshotLadder:
    """Takes stills by the fastest tier that works, one capture per camera at a time.

    Waiting callers share a capture that is fresh enough for them: any number of callers needs at most two captures.
    """

    def __init__(self, tiers: Iterable[SnapshotTier], *, budgets_s: Sequence[float], clock: Clock) -> None:
        self._tiers = sorted(tiers, key=lambda tier: tier.rank)
        self._budgets_s = tuple(budgets_s)
        self._clock = clock
        self._locks = KeyedLock()
        self._waiting: dict[CameraId, list[float]] = defaultdict(list)
        self._last: dict[CameraId, _Outcome] = {}

    @property
    def tiers(self) -> tuple[SnapshotTier, ...]:
        return tuple(self._tiers)

    async def take(self, camera: Camera, *, max_age_s: float, deadline_s: float) -> Still:
        """Return a picture exposed no more than `max_age_s` before this call, within `deadline_s` seconds.

        Raises:
            AllTiersFailed: no tier took a picture; has the reason of each.
            CaptureFailed: the camera is disconnected, or was busy until the deadline.
        """
        if camera.status is CameraStatus.DISCONNECTED:
            raise CaptureFailed(
                f"{camera.id} is not connected.",
                reason="camera_disconnected",
                suggestion="Connect the camera; the event camera.connected reports its return.",
            )
        now_s = self._clock.monotonic_s()
        waiting = self._waiting[camera.id]
        waiting.append(now_s - max_age_s)
        try:
            return await self._shared(camera, now_s, now_s - max_age_s, now_s + deadline_s)
        finally:
            waiting.remove(now_s - max_age_s)
            if not waiting:
                del self._waiting[camera.id]
                self._last.pop(camera.id, None)

    async def _shared(self, camera: Camera, called_s: float, not_before_s: float, deadline_s: float) -> Still:
        """Wait for the camera's lock, then share the last result if it is fresh enough, or else climb."""
        with anyio.move_on_after(deadline_s - called_s) as scope:
            async with self._locks.hold(camera.id):
                scope.deadline = math.inf  # from here each tier has its own limit
                last = self._last.get(camera.id)
                if last is not None and last.serves(called_s, not_before_s):
                    return last.result()
                request = CaptureRequest(max(self._waiting[camera.id]), deadline_s)
                outcome = await self._outcome(camera, request)
                self._last[camera.id] = outcome
                return outcome.result()
        raise CaptureFailed(
            f"{camera.id} was busy with other captures until the deadline.",
            reason="deadline_exceeded",
            suggestion="Allow a larger deadline_ms.",
        )

    async def _outcome(self, camera: Camera, request: CaptureRequest) -> "_Outcome":
        started_s = self._clock.monotonic_s()
        try:
            still = await self._climb(camera, request)
        except AllTiersFailed as error:
            return _Outcome(started_s, error)
        return _Outcome(started_s, still)

    async def _climb(self, camera: Camera, request: CaptureRequest) -> Still:
        attempts: list[TierAttempt] = []
        cause: AgentError | None = None
        started_s = self._clock.monotonic_s()
        for tier in self._tiers:
            tier_started_s = self._clock.monotonic_s()
            try:
                if not _supports(tier, camera):
                    continue
                picture = await self._capture(tier, camera, request)
            except AgentError as error:
                cause = error
                now_s = self._clock.monotonic_s()
                attempts.append(_attempt(tier, error, now_s - tier_started_s))
                _log.info("%s", error.details, extra={"fields": {"camera": camera.id, "tier": tier.name}})
                continue
            now_s = self._clock.monotonic_s()
            return Still(picture, tier.rank, tier.name, tuple(attempts), now_s - started_s, now_s)
        raise AllTiersFailed(camera.id, attempts, cause)

    async def _capture(self, tier: SnapshotTier, camera: Camera, request: CaptureRequest) -> Picture:
        """Capture with one tier within its budget; turn any error of the tier into an AgentError."""
        left_s = request.deadline_s - self._clock.monotonic_s()
        budget_s = min(left_s, self._budgets_s[min(tier.rank, len(self._budgets_s) - 1)])
        if budget_s <= 0:
            raise TierUnavailable("The deadline had passed.", reason="deadline_exceeded")
        own = replace(request, deadline_s=self._clock.monotonic_s() + budget_s)
        with anyio.move_on_after(budget_s):
            with _explained(tier, camera):
                picture = checked_picture(tier.name, await tier.capture(camera, own))
            if picture.captured_s < request.not_before_s:
                raise CaptureFailed("Its picture was older than allowed.", reason="too_old")
            return picture
        raise CaptureFailed(
            f"No picture within {budget_s:.1f} s.",
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
            f"The tier {tier.name} failed: it raised {type(error).__name__}.", reason="tier_error"
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


def _attempt(tier: SnapshotTier, error: AgentError, duration_s: float) -> TierAttempt:
    return TierAttempt(tier.rank, tier.name, error.reason, error.details, duration_s)

"""Ladder of snapshot tiers: one capture for all waiting callers of a camera."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import CaptureFailed
from agent_core.base.locks import KeyedLock
from agent_core.base.models import Camera, CameraId, CameraStatus
from agent_core.plugin import CaptureRequest, SnapshotTier
from agent_core.snapshots.climb import AllTiersFailed, Climber, Still
from agent_core.snapshots.facts import FactSource
from agent_core.snapshots.metrics import TierMetrics

__all__ = ("AllTiersFailed", "SnapshotLadder", "Still", "disconnected", "require_connected")


#: Time beyond that of a failed climb, as a factor, with which a caller climbs again instead of sharing the failure.
_MORE_TIME = 1.5


def disconnected(camera: CameraId) -> CaptureFailed:
    """Return the error of a camera that is not connected."""
    return CaptureFailed(
        f"{camera} is not connected.",
        reason="camera_disconnected",
        suggestion="Connect the camera; the event camera.connected reports its return.",
    )


def require_connected(camera: Camera) -> None:
    """Check that a camera is not disconnected. Raises CaptureFailed."""
    if camera.status is CameraStatus.DISCONNECTED:
        raise disconnected(camera.id)


@dataclass(frozen=True, slots=True, eq=False)
class _Caller:
    """Caller that waits for a picture. Times are monotonic seconds."""

    called_s: float
    max_age_s: float
    deadline_s: float

    @property
    def not_before_s(self) -> float:
        return self.called_s - self.max_age_s

    def would_ask(self, not_before_s: float, now_s: float) -> bool:
        """Return True if the caller would accept no older pictures than that if it called now."""
        return not_before_s <= now_s - self.max_age_s


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Result of one climb for `request`, shared with the callers that waited for it."""

    started_s: float
    request: CaptureRequest
    value: Still | AllTiersFailed

    def serves(self, caller: _Caller, now_s: float) -> bool:
        """Return True if the caller may share this result.

        A picture must have been finished after the call and be fresh enough. A failed climb must have begun after it,
        asked for nothing fresher than the caller would have, and had about the time that the caller still has.
        """
        if isinstance(self.value, Still):
            still = self.value
            return still.finished_s >= caller.called_s and still.picture.captured_s >= caller.not_before_s
        had_s = self.request.deadline_s - self.started_s
        return (
            self.started_s >= caller.called_s
            and caller.would_ask(self.request.not_before_s, self.started_s)
            and caller.deadline_s - now_s <= had_s * _MORE_TIME
        )

    def result(self) -> Still:
        if isinstance(self.value, AllTiersFailed):
            raise self.value
        return self.value


class SnapshotLadder:
    """Takes stills by the cheapest tier that works in time, one capture per camera at a time.

    Waiting callers share a capture that is fresh enough for them: any number of callers needs at most two captures of
    new exposures. A caller that allows older pictures than the others do is not made to wait for a new exposure, as that
    may take longer than it has.

    Args:
        tiers: the tiers, in any order.
        budgets_s: longest time of a capture, for tiers of rank 0, 1, and so on; the last one also for higher ranks.
        clock: the agent's clock.
        facts: tells what is known about a camera; default: without a media server.
    """

    def __init__(
        self,
        tiers: Iterable[SnapshotTier],
        *,
        budgets_s: Sequence[float],
        clock: Clock,
        facts: FactSource | None = None,
    ) -> None:
        self._climber = Climber(tiers, budgets_s=budgets_s, clock=clock, facts=facts or FactSource())
        self._clock = clock
        self._locks = KeyedLock()
        self._waiting: dict[CameraId, list[_Caller]] = defaultdict(list)
        self._last: dict[CameraId, _Outcome] = {}

    @property
    def tiers(self) -> tuple[SnapshotTier, ...]:
        """Return the tiers, lowest rank first."""
        return self._climber.tiers

    @property
    def metrics(self) -> tuple[TierMetrics, ...]:
        """Return the counters of each tier, lowest rank first."""
        return self._climber.metrics

    async def take(self, camera: Camera, *, max_age_s: float, deadline_s: float) -> Still:
        """Return a picture exposed no more than `max_age_s` before this call, within `deadline_s` seconds.

        Raises:
            AllTiersFailed: no tier took a picture; has the reason of each.
            CaptureFailed: the camera is disconnected, or was busy until the deadline.
        """
        require_connected(camera)
        now_s = self._clock.monotonic_s()
        caller = _Caller(now_s, max_age_s, now_s + deadline_s)
        waiting = self._waiting[camera.id]
        waiting.append(caller)
        try:
            return await self._shared(camera, caller)
        finally:
            waiting.remove(caller)
            if not waiting:
                del self._waiting[camera.id]
                self._last.pop(camera.id, None)

    async def _shared(self, camera: Camera, caller: _Caller) -> Still:
        """Wait for the camera's lock, then share the last result if it is fresh enough, or else climb."""
        with anyio.move_on_after(caller.deadline_s - caller.called_s) as scope:
            async with self._locks.hold(camera.id):
                scope.deadline = math.inf  # from here each tier has its own limit
                last, now_s = self._last.get(camera.id), self._clock.monotonic_s()
                if last is not None and last.serves(caller, now_s):
                    return last.result()
                request = CaptureRequest(self._common_bound_s(camera.id, caller, now_s), caller.deadline_s)
                outcome = await self._outcome(camera, request)
                self._last[camera.id] = outcome
                return outcome.result()
        raise CaptureFailed(
            f"{camera.id} was busy with other captures until the deadline.",
            reason="deadline_exceeded",
            suggestion="Allow a larger deadline_ms.",
        )

    def _common_bound_s(self, camera: CameraId, caller: _Caller, now_s: float) -> float:
        """Return the latest `not_before_s` of those that wait, as far as the caller would ask for it now."""
        bounds = (each.not_before_s for each in self._waiting[camera])
        return max(bound_s for bound_s in bounds if caller.would_ask(bound_s, now_s))

    async def _outcome(self, camera: Camera, request: CaptureRequest) -> "_Outcome":
        started_s = self._clock.monotonic_s()
        try:
            still = await self._climber.climb(camera, request)
        except AllTiersFailed as error:
            return _Outcome(started_s, request, error)
        return _Outcome(started_s, request, still)

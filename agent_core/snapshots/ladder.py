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

__all__ = ("AllTiersFailed", "SnapshotLadder", "Still")


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
    """Takes stills by the cheapest tier that works in time, one capture per camera at a time.

    Waiting callers share a capture that is fresh enough for them: any number of callers needs at most two captures.

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
        self._waiting: dict[CameraId, list[float]] = defaultdict(list)
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
            still = await self._climber.climb(camera, request)
        except AllTiersFailed as error:
            return _Outcome(started_s, error)
        return _Outcome(started_s, still)

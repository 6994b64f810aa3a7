"""The media server forgets its paths when it restarts, and others may change them: compare, and repair."""

import logging
from collections.abc import Callable
from functools import partial

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError
from agent_core.base.models import CameraId
from agent_core.base.waiting import first_of
from agent_core.streams import StreamManager

__all__ = ("PathKeeper",)

_log = logging.getLogger("camera_agent.streams")

#: Between two comparisons of the paths that are live, and of all that were ever asked for.
LIVE_S, IDLE_S = 2.0, 10.0


class PathKeeper:
    """Keeps the paths as they should be. A lost stream is noticed at once by its hold; this finds what makes no noise.

    Args:
        repairs: how many there were so far, by this or by a hold.
        tell: is given a sentence for clients when there were some.
    """

    def __init__(
        self,
        streams: StreamManager,
        *,
        repairs: Callable[[], int],
        tell: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._count = repairs
        self._tell = tell
        self._clock = clock
        self._repairs = 0

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Compare until cancelled."""
        task_status.started()
        compared_all_s = self._clock.monotonic_s()
        while True:
            await self._pause()
            wanted, now_s = self._streams.held, self._clock.monotonic_s()
            if now_s - compared_all_s >= IDLE_S:
                wanted, compared_all_s = wanted | self._streams.ensured, now_s
            for camera in wanted:
                await self._repair(camera)
            if self._streams.held:
                await self._look()
            self._tell_repairs()

    def _tell_repairs(self) -> None:
        repairs = self._count()
        if repairs > self._repairs:
            count = repairs - self._repairs
            self._tell(f"{count} path{'' if count == 1 else 's'} of the media server had to be repaired.")
        self._repairs = repairs

    async def _pause(self) -> None:
        """What becomes live must not wait for the end of a long pause."""
        if not self._streams.held:
            await first_of(partial(self._clock.sleep, IDLE_S), self._streams.wait_leased)
        if self._streams.held:
            await self._clock.sleep(LIVE_S)

    async def _look(self) -> None:
        """So that bit rates are known when somebody asks."""
        try:
            await self._streams.all_runtime()
        except AgentError as error:
            _log.debug("not looked at: %s", error.details)

    async def _repair(self, camera: CameraId) -> None:
        try:
            await self._streams.ensure(self._streams.camera(camera))
        except AgentError as error:
            _log.debug("not compared: %s", error.details, extra={"fields": {"camera": camera}})

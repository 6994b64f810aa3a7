"""The media server forgets its paths when it restarts, and others may change them: compare, and repair."""

import logging

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.clock import Clock
from agent_core.errors import AgentError
from agent_core.models import CameraId
from agent_core.streams import StreamManager

__all__ = ("PathKeeper",)

_log = logging.getLogger("camera_agent.streams")

#: Between two comparisons of the paths that are live, and of all that were ever asked for.
LIVE_S, IDLE_S = 2.0, 10.0


class PathKeeper:
    """Keeps the paths as they should be. A lost stream is noticed at once by its hold; this finds what makes no noise."""

    def __init__(self, streams: StreamManager, *, clock: Clock) -> None:
        self._streams = streams
        self._clock = clock

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Compare until cancelled."""
        task_status.started()
        since_all_s = 0.0
        while True:
            pause_s = LIVE_S if self._streams.held else IDLE_S
            await self._clock.sleep(pause_s)
            since_all_s += pause_s
            wanted = self._streams.held
            if since_all_s >= IDLE_S:
                wanted, since_all_s = wanted | self._streams.ensured, 0.0
            for camera in wanted:
                await self._repair(camera)

    async def _repair(self, camera: CameraId) -> None:
        try:
            await self._streams.ensure(self._streams.camera(camera))
        except AgentError as error:
            _log.debug("not compared: %s", error.details, extra={"fields": {"camera": camera}})

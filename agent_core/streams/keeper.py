"""Repair of the cameras' paths: a restarted media server has lost them, and other clients may change them."""

import logging
from collections.abc import Callable
from functools import partial

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError
from agent_core.base.models import CameraId
from agent_core.base.waiting import first_of
from agent_core.streams.camera_paths import CameraPaths
from agent_core.streams.leases import StreamLeases

__all__ = ("PathKeeper",)

_log = logging.getLogger("camera_agent.streams")

#: Pauses between two comparisons: of the held paths, and of all paths that the agent has made.
LIVE_S, IDLE_S = 2.0, 10.0


class PathKeeper:
    """Compares the paths with the plan at intervals and repairs them.

    A hold notices a lost stream at once; the keeper finds changes that end no stream.

    Args:
        repairs: counts all repairs so far, including those by holds.
        tell: receives a sentence for clients after repairs.
    """

    def __init__(
        self,
        streams: StreamLeases,
        paths: CameraPaths,
        *,
        repairs: Callable[[], int],
        tell: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._paths = paths
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
                wanted, compared_all_s = wanted | self._paths.ensured, now_s
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
        """Wait for the next comparison; a new lease ends the long pause of an idle agent."""
        if not self._streams.held:
            await first_of(partial(self._clock.sleep, IDLE_S), self._streams.wait_leased)
        if self._streams.held:
            await self._clock.sleep(LIVE_S)

    async def _look(self) -> None:
        """Read the paths, so that their bit rates are known when a client asks."""
        try:
            await self._paths.all_runtime()
        except AgentError as error:
            _log.debug("the paths could not be read: %s", error.details)

    async def _repair(self, camera: CameraId) -> None:
        try:
            await self._paths.ensure(self._paths.camera(camera))
        except AgentError as error:
            _log.debug(
                "a path could not be compared: %s", error.details, extra={"fields": {"camera": camera}}
            )

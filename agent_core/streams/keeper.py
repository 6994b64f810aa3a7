"""Keeper of the cameras' paths: each connected camera has one, so that a player can open its address at any time.

A restarted media server has lost the paths, and other clients may change them.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError
from agent_core.base.events import EventBus
from agent_core.base.models import Camera, CameraEvent, CameraId
from agent_core.base.waiting import first_of
from agent_core.mediamtx import ServerLink
from agent_core.mediamtx.schema import PathConf
from agent_core.streams.camera_paths import CameraPaths
from agent_core.streams.leases import StreamLeases

__all__ = ("PathKeeper",)

_log = logging.getLogger("camera_agent.streams")

#: Pauses between two comparisons: of the held paths, and of all paths.
LIVE_S, IDLE_S = 2.0, 5.0
#: Wait after a change of the cameras, so that many that come at once are one comparison.
SETTLE_S = 0.1


class PathKeeper:
    """Makes a path for each connected camera, compares all paths with the plan at intervals, and repairs them.

    The path of a disconnected camera is removed as soon as it is not live. A path starts no camera: its stream begins
    with the first reader. A comparison of all paths costs one call of the media server, one more to see which are
    live, and more only for paths that differ. It comes at once when a camera changes and when the media server begins
    to serve. A hold notices a lost stream at once; the keeper finds changes that end no stream. A lost stream of a camera
    that is connected again is retried at once. A camera that was removed loses its stream and its path.

    Args:
        cameras: returns all cameras, disconnected ones included.
        tell: receives a sentence for clients after repairs.
    """

    def __init__(
        self,
        streams: StreamLeases,
        paths: CameraPaths,
        *,
        cameras: Callable[[], Sequence[Camera]],
        link: ServerLink,
        events: EventBus,
        tell: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._paths = paths
        self._cameras = cameras
        self._link = link
        self._events = events
        self._tell = tell
        self._clock = clock
        self._repairs = 0
        #: Set when all paths are to be compared before the next interval ends.
        self._hurry = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Compare until cancelled."""
        async with anyio.create_task_group() as tg:
            await tg.start(self._follow_cameras)
            tg.start_soon(self._follow_server)
            tg.start_soon(self._keep)
            task_status.started()

    async def _follow_cameras(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        with self._events.subscribe(lambda event: isinstance(event.payload, CameraEvent)) as changes:
            task_status.started()
            while True:
                payload = (await changes.receive()).payload
                self._hurry.set()
                if isinstance(payload, CameraEvent):
                    self._streams.follow(payload.camera)

    async def _follow_server(self) -> None:
        while True:
            await self._link.recovery.wait()
            self._hurry.set()

    async def _keep(self) -> None:
        compared_all_s = -IDLE_S
        while True:
            now_s = self._clock.monotonic_s()
            if self._hurry.is_set() or now_s - compared_all_s >= IDLE_S:
                self._hurry, compared_all_s = anyio.Event(), now_s
                await self._compare_all()
            else:
                await self._compare_held()
            if self._streams.held or self._paths.ensured:
                await self._look()
            self._tell_repairs()
            await self._pause()

    def _tell_repairs(self) -> None:
        repairs = self._link.repairs
        if repairs > self._repairs:
            count = repairs - self._repairs
            self._tell(f"{count} path{'' if count == 1 else 's'} of the media server had to be repaired.")
        self._repairs = repairs

    async def _pause(self) -> None:
        """Wait for the next comparison; a new lease ends the long pause of an idle agent."""
        if not self._streams.held:
            idle = partial(self._clock.sleep, IDLE_S)
            await first_of(idle, self._streams.wait_leased, self._hurry.wait)
        if self._streams.held and not self._hurry.is_set():
            await first_of(partial(self._clock.sleep, LIVE_S), self._hurry.wait)
        if self._hurry.is_set():
            await self._clock.sleep(SETTLE_S)

    async def _look(self) -> None:
        """Read the paths, so that their bit rates, and which are live, are known when it is asked for."""
        try:
            await self._paths.all_runtime()
        except AgentError as error:
            _log.debug("the paths could not be read: %s", error.details)

    async def _compare_held(self) -> None:
        for each in self._cameras():
            if each.id in self._streams.held:
                await self._contained(each, partial(self._paths.ensure, each))

    async def _compare_all(self) -> None:
        cameras = [each for each in self._cameras() if self._is_ours(each)]
        if not cameras:
            return
        try:
            shown = await self._paths.configured()
        except AgentError as error:
            _log.debug("the paths could not be compared: %s", error.details)
            return
        for each in cameras:
            await self._contained(each, partial(self._compare, each.id, shown))

    def _is_ours(self, camera: Camera) -> bool:
        """Return True if the camera should have a path, or has one that this agent has made."""
        return camera.media_input is not None or camera.id in self._paths.ensured

    async def _compare(self, id_: CameraId, shown: Mapping[str, PathConf]) -> None:
        camera = self._paths.camera(id_)  # it may have changed since the paths were read
        if camera.removed:
            await self._paths.remove(id_)
        elif camera.media_input is None:
            await self._paths.withdraw(id_)
        else:
            await self._paths.keep(camera, shown.get(id_))

    async def _contained(self, camera: Camera, compare: Callable[[], Awaitable[object]]) -> None:
        try:
            await compare()
        except AgentError as error:
            fields = {"camera": camera.id}
            _log.debug("a path could not be compared: %s", error.details, extra={"fields": fields})

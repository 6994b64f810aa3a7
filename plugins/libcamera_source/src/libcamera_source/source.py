"""Source of libcamera's cameras: lists them now and then, and serves each in a task of its own."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.plugin import (
    AgentContext,
    AgentError,
    CameraReport,
    CameraSource,
    Clock,
    WorkerPool,
    first_of,
)
from libcamera_source.camera import LibcameraCamera
from libcamera_source.listing import ListedCamera
from libcamera_source.programs import Tools
from libcamera_source.settings import SOURCE, LibcameraSettings
from libcamera_source.tables import CameraTables, Unused, known_as
from libcamera_source.tools import Toolbox

__all__ = ("LibcameraSource",)

_log = logging.getLogger("camera_agent.libcamera_source")

#: Longest wait of the agent's start for the first list; a slow one comes later.
_FIRST_LIST_S = 8.0
#: Pause between looks at the device nodes, a list of which costs microseconds.
_NODES_PAUSE_S = 2.0
#: Pause before a list that a missed camera asks for, so that it does not follow each trial of a dead one.
_MISSED_PAUSE_S = 5.0


class LibcameraSource(CameraSource):
    """Source of libcamera's cameras; `watch` owns one task per camera.

    `search_path` are the folders with programs, in the form of PATH; tests set it.
    """

    def __init__(
        self, settings: LibcameraSettings, agent: AgentContext, *, search_path: str | None = None
    ) -> None:
        self._settings = settings
        self._agent = agent
        self._search_path = search_path

    @property
    def name(self) -> str:
        return SOURCE

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        toolbox = Toolbox(self._settings.program, self._agent.runtime_dir, self._search_path)
        async with anyio.create_task_group() as tg:
            roster = Roster(self._settings, self._agent, toolbox, report, tg)
            tg.start_soon(roster.run)
            await first_of(roster.listed.wait, partial(self._agent.clock.sleep, _FIRST_LIST_S))
            task_status.started()


class Roster:
    """Cameras that libcamera lists, and the `LibcameraCamera` that serves each; these run in the caller's `tasks`.

    `listed` is set after the first list, successful or not.
    """

    def __init__(
        self,
        settings: LibcameraSettings,
        agent: AgentContext,
        toolbox: Toolbox,
        report: CameraReport,
        tasks: TaskGroup,
    ) -> None:
        self._settings = settings
        self._tables = CameraTables(settings)
        self._told_tables = False
        self._agent = agent
        self._clock: Clock = agent.clock
        self._toolbox = toolbox
        self._report = report
        self._tasks = tasks
        self._threads = WorkerPool(1)
        self._cameras: dict[str, LibcameraCamera] = {}
        self._missed = anyio.Event()
        self._told = ""
        self._told_cameras: set[str] = set()
        self.listed = anyio.Event()

    async def run(self) -> None:
        """Follow the cameras until cancelled."""
        while True:
            nodes = await self._threads.run(_nodes)
            await self._look()
            self.listed.set()
            await self._until_due(nodes)

    async def _look(self) -> None:
        try:
            listed = await self._toolbox.list_cameras()
            tools = await self._toolbox.tools()
        except AgentError as error:
            self._tell(f"{error.details} {error.suggestion}")
            return
        if listed is None:
            return
        self._tell("")
        used = {camera.id: camera for camera in listed if self._is_used(camera)}
        for key in self._cameras.keys() - used.keys():
            self._end(key)
        for camera in used.values():
            if (known := self._cameras.get(camera.id)) is None:
                self._begin(camera, tools)
            else:
                known.listed, known.tools = camera, tools
        self._tell_unused_tables(listed)

    def _tell(self, problem: str) -> None:
        if problem and problem != self._told:
            _log.warning("%s", problem)
        self._told = problem

    def _tell_unused_tables(self, listed: Sequence[ListedCamera]) -> None:
        """Name, once, the tables that mean no camera of the first list."""
        if self._told_tables:
            return
        self._told_tables = True
        names = ", ".join(repr(name) for camera in listed for name in known_as(camera))
        for match in self._tables.unused:
            _log.warning(
                "no listed camera matches %r, a table of plugins.libcamera_source.cameras; libcamera lists %s",
                match,
                names or "none",
            )

    def _end(self, key: str) -> None:
        if self._cameras[key].broker.device.is_streaming:
            return  # a list may miss a camera that is in use
        self._cameras.pop(key).gone("libcamera does not list the camera any more.")

    def _begin(self, listed: ListedCamera, tools: Tools) -> None:
        settings = self._tables.of(listed) or self._settings.defaults
        camera = LibcameraCamera(
            listed,
            settings,
            tools,
            toolbox=self._toolbox,
            report=self._report,
            clock=self._clock,
            folder=self._agent.runtime_dir,
            missed=lambda: self._missed.set(),  # noqa: PLW0108 - the event is another one later
        )
        self._cameras[listed.id] = camera
        self._tasks.start_soon(camera.run)

    def _is_used(self, camera: ListedCamera) -> bool:
        """Return whether the settings let this source serve the camera; the log tells it once for one that they do not."""
        why = self._tables.why_unused(camera)
        if why is None:
            return True
        if camera.id not in self._told_cameras:
            self._told_cameras.add(camera.id)
            hint = "; to use it here, set usb" if why is Unused.USB else ""
            _log.info("%s %s%s; not using it", camera.id, why, hint)
        return False

    async def _until_due(self, nodes: frozenset[str]) -> None:
        """Wait until the next list is due: regularly, when device nodes have changed, or when a camera is missed."""
        await first_of(
            partial(self._clock.sleep, self._settings.list_interval_s),
            partial(self._until_other_nodes, nodes),
            self._until_missed,
        )
        self._missed = anyio.Event()

    async def _until_other_nodes(self, nodes: frozenset[str]) -> None:
        while await self._threads.run(_nodes) == nodes:
            await self._clock.sleep(_NODES_PAUSE_S)

    async def _until_missed(self) -> None:
        await self._missed.wait()
        await self._clock.sleep(_MISSED_PAUSE_S)


def _nodes() -> frozenset[str]:
    """Return the names of the device nodes that cameras of libcamera are made of."""
    try:
        names = [path.name for path in Path("/dev").iterdir()]
    except OSError:
        return frozenset()
    return frozenset(name for name in names if name.startswith(("media", "video", "v4l-subdev")))

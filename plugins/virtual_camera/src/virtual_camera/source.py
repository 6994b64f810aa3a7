"""Source of the configured cameras.

Apart from `plugin`, so that the source is tested and run without hooks.
"""

from collections.abc import Sequence

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import AgentContext, AgentError, CameraReport, CameraSource
from virtual_camera.camera import SOURCE, VirtualCamera
from virtual_camera.settings import VirtualCameraSettings

__all__ = ("VirtualCameraSource", "make_cameras")


def make_cameras(settings: VirtualCameraSettings, agent: AgentContext) -> tuple[VirtualCamera, ...]:
    """Return the cameras of `settings`, in order. None of them runs yet."""
    return tuple(
        VirtualCamera(
            camera,
            socket_path=agent.runtime_dir / f"virtual{number}.sock",
            program=agent.ffmpeg,
            clock=agent.clock,
        )
        for number, camera in enumerate(settings.cameras)
    )


class VirtualCameraSource(CameraSource):
    """Source of virtual cameras. `watch` runs each camera in a task of its own."""

    def __init__(self, cameras: Sequence[VirtualCamera]) -> None:
        self.cameras = tuple(cameras)

    @property
    def name(self) -> str:
        return SOURCE

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        problem: AgentError | None = None
        try:
            async with anyio.create_task_group() as tg:
                for camera in self.cameras:
                    await tg.start(camera.watch, report)
                task_status.started()
        except* AgentError as group:
            problem = _first(group)
        if problem is not None:  # without its group, so that the agent shows its message
            raise problem


def _first(group: ExceptionGroup[AgentError]) -> AgentError:
    error: AgentError | ExceptionGroup[AgentError] = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error

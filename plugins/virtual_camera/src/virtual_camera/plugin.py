"""Plugin class with its hooks."""

from typing import Any, ClassVar

from agent_core.plugin import AgentContext, CameraSource, Plugin, RpcMethod, Settings, hookimpl
from virtual_camera.camera import VirtualCamera
from virtual_camera.set_fault import SetFault
from virtual_camera.settings import VirtualCameraSettings
from virtual_camera.source import VirtualCameraSource, make_cameras

__all__ = ("VirtualCameraPlugin",)


class VirtualCameraPlugin(Plugin[VirtualCameraSettings]):
    """Plugin with a source and, if configured, the method that switches faults. Both share the cameras."""

    Settings: ClassVar[type[Settings]] = VirtualCameraSettings

    def __init__(self, settings: VirtualCameraSettings) -> None:
        super().__init__(settings)
        self._made: tuple[VirtualCamera, ...] | None = None

    def _cameras(self, agent: AgentContext) -> tuple[VirtualCamera, ...]:
        """Return the cameras, the same ones for each hook."""
        if self._made is None:
            self._made = make_cameras(self.settings, agent)
        return self._made

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        return [VirtualCameraSource(self._cameras(agent))]

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> list[RpcMethod[Any]] | None:
        return [SetFault(self._cameras(agent), agent.cameras)] if self.settings.faults else None

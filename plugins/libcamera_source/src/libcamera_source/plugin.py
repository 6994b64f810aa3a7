"""Entry point of the plugin."""

from typing import ClassVar

from agent_core.plugin import AgentContext, CameraSource, Check, Plugin, Settings, hookimpl
from libcamera_source.settings import LibcameraSettings

__all__ = ("LibcameraSourcePlugin",)


class LibcameraSourcePlugin(Plugin[LibcameraSettings]):
    """Plugin with one camera source and one check."""

    Settings: ClassVar[type[Settings]] = LibcameraSettings

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        from libcamera_source.source import LibcameraSource

        return [LibcameraSource(self.settings, agent)]

    @hookimpl
    def agent_checks(self) -> list[Check]:
        from libcamera_source.checks import LibcameraCheck  # only `doctor` needs it

        return [LibcameraCheck(self.settings)]

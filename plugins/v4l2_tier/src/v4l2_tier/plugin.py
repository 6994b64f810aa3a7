"""Entry point of the plugin."""

from typing import ClassVar

from agent_core.plugin import AgentContext, CameraSource, Check, Plugin, Settings, hookimpl
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.source import V4l2Source

__all__ = ("V4l2TierPlugin",)


class V4l2TierPlugin(Plugin[V4l2TierSettings]):
    """Plugin with one camera source and one check.

    Snapshot tier 0 belongs to the core, which reads the frame brokers of the source's cameras.
    """

    Settings: ClassVar[type[Settings]] = V4l2TierSettings

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        return [V4l2Source(self.settings, agent)]

    @hookimpl
    def agent_checks(self) -> list[Check]:
        from v4l2_tier.checks import DeviceCheck  # only `doctor` needs it

        return [DeviceCheck(self.settings)]

"""Plugin class with its hooks."""

from agent_core.plugin import Plugin
from rtsp_tier.settings import RtspTierSettings

__all__ = ("RtspTierPlugin",)


class RtspTierPlugin(Plugin[RtspTierSettings]):
    """Plugin with two tiers and the component that owns their worker process."""

    Settings = RtspTierSettings

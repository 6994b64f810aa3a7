"""State of a plugin, and the providers that it offers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent_core.plugin.abc import CameraSource, Component, RecordingStills, RpcMethod, SnapshotTier

__all__ = ("PluginState", "PluginStatus", "Providers")


class PluginState(StrEnum):
    """State of an enabled plugin."""

    LOADED = "LOADED"
    FAILED = "FAILED"
    #: Not imported because it blocked the agent's event loop several times.
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """Status of one enabled plugin. `reason`, `details` and `suggestion` explain why it is not loaded."""

    name: str
    version: str
    state: PluginState
    reason: str = ""
    details: str = ""
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Providers:
    """Providers of one plugin. The core uses all of them, or none if a hook of the plugin failed."""

    plugin: str
    sources: tuple[CameraSource, ...] = ()
    tiers: tuple[SnapshotTier, ...] = ()
    components: tuple[Component, ...] = ()
    methods: tuple[RpcMethod[Any], ...] = ()
    topics: tuple[str, ...] = ()
    stills: RecordingStills | None = None

"""State of a plugin, and the providers that it offers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent_core.base.errors import PluginError
from agent_core.plugin.abc import CameraSource, Component, RecordingStills, RpcMethod, SnapshotTier
from agent_core.plugin.web import WebPart

__all__ = ("NORMAL_START", "PluginState", "PluginStatus", "Providers", "StartMode")


class PluginState(StrEnum):
    """State of an enabled plugin."""

    LOADED = "LOADED"
    FAILED = "FAILED"
    #: Not imported because it blocked the agent's event loop several times.
    QUARANTINED = "QUARANTINED"
    #: Not imported because it did not come with the agent, which runs in safe mode.
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """Status of one enabled plugin. `reason`, `details` and `suggestion` explain why it is not loaded.

    `location` leads to a wrong value in the configuration, table by table.
    """

    name: str
    version: str
    state: PluginState
    reason: str = ""
    details: str = ""
    suggestion: str = ""
    location: tuple[int | str, ...] = ()


@dataclass(frozen=True, slots=True)
class StartMode:
    """Circumstances of the agent's start that concern plugins.

    Attributes:
        safe_mode: only plugins that came with the agent are loaded.
        barred: enabled plugins that safe mode leaves out, each with the reason.
        problems: reasons why installed plugins are missing or may fail.
    """

    safe_mode: bool = False
    barred: Mapping[str, PluginError] = field(default_factory=dict)
    problems: tuple[PluginError, ...] = ()


NORMAL_START = StartMode()


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
    pages: tuple[WebPart, ...] = ()

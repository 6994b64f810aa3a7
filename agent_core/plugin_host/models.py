"""Plugins as values: the state of each, and what each offers."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent_core.plugin.abc import CameraSource, Component, RpcMethod, SnapshotTier

__all__ = ("PluginState", "PluginStatus", "Providers")


class PluginState(StrEnum):
    LOADED = "LOADED"
    FAILED = "FAILED"
    #: Not imported, because it blocked the agent's event loop several times.
    QUARANTINED = "QUARANTINED"


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One enabled plugin. If it is not loaded, `reason` and `details` say why, `suggestion` what to do."""

    name: str
    version: str
    state: PluginState
    reason: str = ""
    details: str = ""
    suggestion: str = ""


@dataclass(frozen=True, slots=True)
class Providers:
    """The providers of one plugin. The core uses all of them, or none if one of its hooks failed."""

    plugin: str
    sources: tuple[CameraSource, ...] = ()
    tiers: tuple[SnapshotTier, ...] = ()
    components: tuple[Component, ...] = ()
    methods: tuple[RpcMethod[Any], ...] = ()
    topics: tuple[str, ...] = ()

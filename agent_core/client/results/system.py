"""Results of the methods about system.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ("CheckForm", "PluginForm", "ProblemForm", "ServerInfo", "StatusForm", "SystemStatusForm")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemForm:
    code: int
    reason: str
    details: str
    suggestion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemStatusForm:
    #: starting: no camera yet; partial: parts are still starting, or there are problems
    status: Literal["starting", "partial", "ready"] | str
    message: str
    available_cameras: list[str]
    discovery_active: bool
    problems: list[ProblemForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginForm:
    """`reason` and `details` tell why a plugin is not loaded."""

    name: str
    version: str
    #: LOADED, FAILED, QUARANTINED (it froze the agent) or SKIPPED (safe mode)
    status: str
    reason: str
    details: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerInfo:
    """`build_date` is empty if the build recorded none."""

    name: str
    version: str
    #: version of the methods and events, MAJOR.MINOR: a larger MINOR adds, another MAJOR breaks
    contract_version: str
    build_date: str
    #: always empty; kept for older clients
    go_version: str
    python_version: str
    architecture: str
    #: features that this agent offers, as it is configured
    capabilities: list[Literal["snapshots", "recording", "streaming", "events"] | str]
    #: formats of pictures and recordings, and the protocols of streams that are served now
    supported_formats: list[str]
    #: most cameras that Linux numbers, which this agent can serve
    max_cameras: int
    plugins: list[PluginForm]
    #: true: only plugins that came with the agent are loaded
    safe_mode: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckForm:
    """One health check; `since` is the time of its last change of status."""

    name: str
    status: Literal["OK", "WARNING", "FAILED"] | str
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusForm:
    """`uptime` is in seconds."""

    status: Literal["HEALTHY", "DEGRADED", "UNHEALTHY"] | str
    uptime: float
    version: str
    #: STARTING, RUNNING, STOPPING, STOPPED or ERROR, by the component's name
    components: dict[str, str]
    checks: list[CheckForm]
    #: true: only plugins that came with the agent are loaded
    safe_mode: bool
    timestamp: datetime

"""Results of the methods about the agent as a whole."""

from typing import Literal

from pydantic import Field

from agent_core.api.schema.params import Timestamp
from agent_core.plugin import RpcResult
from agent_core.rpc.notices import EventForm

__all__ = (
    "CONTRACT_VERSION",
    "Capability",
    "CheckForm",
    "PluginEventForm",
    "PluginForm",
    "ProblemForm",
    "ServerInfo",
    "StatusForm",
    "SystemEventForm",
    "SystemStatusForm",
)

#: Version of the wire contract, "MAJOR.MINOR"; docs/api.md has the policy, and a test compares with the last release.
CONTRACT_VERSION = "1.0"

#: Feature that an agent may offer.
Capability = Literal["snapshots", "recording", "streaming", "events"]


class ProblemForm(RpcResult):
    code: int
    reason: str
    details: str
    suggestion: str


class SystemStatusForm(RpcResult):
    status: Literal["starting", "partial", "ready"] = Field(
        description="starting: no camera yet; partial: parts are still starting, or there are problems"
    )
    message: str
    available_cameras: list[str]
    discovery_active: bool
    problems: list[ProblemForm]


class SystemEventForm(EventForm):
    status: str = Field(description="HEALTHY, DEGRADED or UNHEALTHY")
    components: dict[str, str] = Field(description="as in get_status")
    reason: str | None = Field(None, description="a sentence")
    timestamp: Timestamp


class PluginEventForm(EventForm):
    plugin: str
    reason: str = Field(description="a sentence")
    timestamp: Timestamp


class CheckForm(RpcResult):
    """One health check; `since` is the time of its last change of status."""

    name: str
    status: Literal["OK", "WARNING", "FAILED"]
    detail: str
    since: Timestamp


class StatusForm(RpcResult):
    """`uptime` is in seconds."""

    status: Literal["HEALTHY", "DEGRADED", "UNHEALTHY"]
    uptime: float
    version: str
    components: dict[str, str] = Field(
        description="STARTING, RUNNING, STOPPING, STOPPED or ERROR, by the component's name"
    )
    checks: list[CheckForm]
    safe_mode: bool = Field(description="true: only plugins that came with the agent are loaded")
    timestamp: Timestamp


class PluginForm(RpcResult):
    """`reason` and `details` tell why a plugin is not loaded."""

    name: str
    version: str
    status: str = Field(description="LOADED, FAILED, QUARANTINED (it froze the agent) or SKIPPED (safe mode)")
    reason: str
    details: str


class ServerInfo(RpcResult):
    """`build_date` is empty if the build recorded none."""

    name: str
    version: str
    contract_version: str = Field(
        description="version of the methods and events, MAJOR.MINOR: a larger MINOR adds, another MAJOR breaks"
    )
    build_date: str
    go_version: str = Field(description="always empty; kept for older clients")
    python_version: str
    architecture: str
    capabilities: list[Capability] = Field(description="features that this agent offers, as it is configured")
    supported_formats: list[str] = Field(
        description="formats of pictures and recordings, and the protocols of streams that are served now"
    )
    max_cameras: int = Field(description="most cameras that Linux numbers, which this agent can serve")
    plugins: list[PluginForm]
    safe_mode: bool = Field(description="true: only plugins that came with the agent are loaded")

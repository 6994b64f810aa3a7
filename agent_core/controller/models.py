"""Values of the controller's answers: cameras as clients see them, the agent's progress, health and capabilities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from agent_core.base.controls import ControlOutcome
from agent_core.base.errors import AgentError
from agent_core.base.models import Camera, CameraId
from agent_core.base.room import Room
from agent_core.health import HealthReport
from agent_core.health.host import HostLoad
from agent_core.health.models import BreakerMetrics
from agent_core.mediamtx.paths import PathCounters
from agent_core.plugin_host.models import PluginStatus
from agent_core.recordings.meter import RecordingMetrics
from agent_core.snapshots.metrics import TierMetrics
from agent_core.streams.models import CameraTraffic, MediaAddresses
from agent_core.streams.tracks import served_for
from agent_core.streams.traffic import PathTraffic, TrafficTotals

__all__ = (
    "AgentMetrics",
    "CameraDetails",
    "CameraMetrics",
    "CameraView",
    "ChangedCameraControls",
    "Readiness",
    "Reloaded",
    "ServerInfo",
    "StatusReport",
    "SystemStatus",
    "status_message",
)


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Result of a reload of the configuration.

    Attributes:
        changed: keys whose new values are in effect.
        needs_restart: keys whose new values take effect at the next start of the agent.
        notes: sentences about settings that take effect and do not decide at the moment.
        errors: sentences about parts that failed to take over their settings.
    """

    changed: tuple[str, ...] = ()
    needs_restart: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class Readiness(StrEnum):
    STARTING = "starting"
    PARTIAL = "partial"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Progress of the agent at start; each of `problems` keeps it from being ready."""

    readiness: Readiness
    message: str
    available: tuple[Camera, ...]
    discovery_active: bool
    problems: tuple[AgentError, ...]


@dataclass(frozen=True, slots=True)
class CameraView:
    """Camera with its addresses, as clients see it; equal views look the same to clients.

    `tracks` are the codecs of its stream, empty while they are unknown.
    """

    camera: Camera
    media: MediaAddresses
    is_recording: bool
    tracks: tuple[str, ...] = ()

    @property
    def served(self) -> tuple[str, ...]:
        """Protocols by which the media server serves the stream."""
        return served_for(self.media.served, self.tracks)


@dataclass(frozen=True, slots=True)
class CameraDetails:
    """Camera with the media server's counters for it, and the seconds since it was connected."""

    view: CameraView
    traffic: CameraTraffic
    uptime_s: float


@dataclass(frozen=True, slots=True)
class ChangedCameraControls:
    """Outcomes of a change of a camera's controls. `is_stored`: what is kept will survive a restart of the agent."""

    camera: CameraId
    outcomes: tuple[ControlOutcome, ...]
    is_stored: bool


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Health of the agent, and the seconds since it was started; `safe_mode` is that of `ServerInfo`."""

    health: HealthReport
    uptime_s: float
    safe_mode: bool = False


@dataclass(frozen=True, slots=True)
class CameraMetrics:
    """Numbers of one camera; `uptime_s` is the time since it was connected, 0 while it is not."""

    camera: Camera
    is_recording: bool
    traffic: PathTraffic
    uptime_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMetrics:
    """Numbers of the agent and its services, all from memory.

    Attributes:
        host: the last sample of the host's load; None if the kernel hides its counters.
        disk: room on the disk of the recordings; None while that does not answer.
        paths: counters of the path of each camera at the media server.
    """

    host: HostLoad | None
    disk: Room | None
    cameras: tuple[CameraMetrics, ...]
    totals: TrafficTotals
    recordings: RecordingMetrics
    tiers: tuple[TierMetrics, ...]
    paths: Mapping[str, PathCounters]
    health: HealthReport
    breaker: BreakerMetrics
    events_published: int
    events_dropped: int


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Capabilities and plugins of this agent; `protocols` are those that the media server serves now.

    In `safe_mode` only the plugins that came with the agent are loaded.
    """

    has_snapshots: bool
    has_streams: bool
    has_recordings: bool
    protocols: tuple[str, ...]
    plugins: tuple[PluginStatus, ...]
    safe_mode: bool = False


def status_message(
    *,
    active: bool,
    is_server_starting: bool,
    any_source: bool,
    cameras: int,
    failed: Sequence[PluginStatus],
    problems: Sequence[AgentError],
) -> str:
    """Return `SystemStatus.message`, one sentence per fact."""
    if not any_source:
        said = ["No camera source is enabled, so there are no cameras."]
    else:
        said = [f"{cameras} camera{'' if cameras == 1 else 's'} connected."]
    if active:
        said.append("Looking for cameras.")
    if is_server_starting:
        said.append("Waiting for the media server.")
    said += [f"Plugin {each.name}: {each.details}" for each in failed]
    said += [each.details for each in problems]
    return " ".join(said)

"""Results of the methods about metrics.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_core.client.results.words import CameraStatus

__all__ = (
    "CameraMetricsForm",
    "CamerasMetricsForm",
    "EventMetricsForm",
    "HealthMetricsForm",
    "MethodMetricsForm",
    "MetricsForm",
    "PathCountersForm",
    "PathMetricsForm",
    "RecordingMetricsForm",
    "RpcMetricsForm",
    "RunningRecordingForm",
    "SnapshotMetricsForm",
    "StreamMetricsForm",
    "SystemMetricsForm",
    "TierMetricsForm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemMetricsForm:
    """Load of the host. What the kernel or the disk does not tell is absent."""

    #: busy share of all processors between the last two samples, in percent
    cpu_usage: float | None = None
    #: used share of the memory, in percent
    memory_usage: float | None = None
    #: used share of the disk of the recordings, in percent
    disk_usage: float | None = None
    #: running tasks of the agent; the name is kept for clients
    goroutines: int | None = None
    #: bytes received by all network interfaces but loopback since the host's boot
    network_in: int | None = None
    #: bytes sent by them
    network_out: int | None = None
    #: processes that run or wait, averaged over a minute
    load_average: float | None = None
    #: open WebSocket connections of the agent
    connections: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMetricsForm:
    """Numbers of one camera; bytes are summed over all its streams."""

    status: CameraStatus
    recording: bool
    #: its stream can be read; false if that is unknown
    live: bool
    #: readers of its stream without the agent's own
    readers: int
    #: bytes that the media server received from the camera
    bytes_received: int
    #: bytes that the media server sent to readers
    bytes_sent: int
    #: seconds since the camera was connected
    uptime: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CamerasMetricsForm:
    connected_cameras: int
    #: by id, disconnected ones included
    cameras: dict[str, CameraMetricsForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningRecordingForm:
    #: STARTING, RECORDING or ERROR
    state: str
    #: bytes of all segments
    file_size: int
    #: seconds of media
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingMetricsForm:
    active_recordings: int
    #: recordings under way, by camera
    recordings: dict[str, RunningRecordingForm]
    #: recordings whose first picture was stored
    started: int
    #: times that a recording stopped growing, or did not begin to
    failures: int
    #: times that a recording grew again after a failure
    recoveries: int
    #: recordings that have ended
    stopped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMetricsForm:
    """Streams of the media server, those of other clients included; 0 while it is silent."""

    #: paths with a stream
    active_streams: int
    #: paths
    total_streams: int
    #: readers of all streams without the agent's own
    total_viewers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TierMetricsForm:
    """Numbers of one snapshot tier; the percentiles are those of its last 256 pictures, absent before the first."""

    rank: int
    name: str
    #: pictures
    count: int
    #: pictures and failures
    attempts: int
    #: failed attempts by reason
    failures: dict[str, int]
    #: times that the tier was left out, by reason
    skips: dict[str, int]
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotMetricsForm:
    #: by rank
    tiers: list[TierMetricsForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathCountersForm:
    #: changes sent to the media server
    writes: int
    #: changes sent again because it did not answer
    retries: int
    #: repairs of paths that differed from their plan
    repairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMetricsForm:
    """Sums over all paths, those of removed cameras included, and each listed camera's path by its name, the id."""

    #: changes sent to the media server
    writes: int
    #: changes sent again because it did not answer
    retries: int
    #: repairs of paths that differed from their plan
    repairs: int
    paths: dict[str, PathCountersForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthMetricsForm:
    status: Literal["HEALTHY", "DEGRADED", "UNHEALTHY"] | str
    #: state of the circuit to the media server
    breaker: Literal["closed", "open", "half_open"] | str
    #: times that the circuit has opened
    openings: int
    #: duration of the last answered probe of the media server
    probe_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventMetricsForm:
    published: int
    #: events that subscribers lost by reading too slowly
    dropped: int
    #: events kept for clients that reconnect
    journal_events: int
    #: memory that these take
    journal_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodMetricsForm:
    calls: int
    errors: int
    mean_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcMetricsForm:
    """Answered calls of all connections; `unknown` stands for all methods that do not exist."""

    calls: int
    errors: int
    #: methods that have been called
    methods: dict[str, MethodMetricsForm]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsForm:
    """All from memory: no call waits for a disk, a camera or the media server."""

    timestamp: datetime
    system_metrics: SystemMetricsForm
    camera_metrics: CamerasMetricsForm
    recording_metrics: RecordingMetricsForm
    stream_metrics: StreamMetricsForm
    snapshot_metrics: SnapshotMetricsForm
    path_metrics: PathMetricsForm
    health_metrics: HealthMetricsForm
    event_metrics: EventMetricsForm
    rpc_metrics: RpcMetricsForm

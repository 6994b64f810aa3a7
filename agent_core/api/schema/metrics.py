"""Result of `get_metrics`: counters count from the agent's start, unless they say otherwise."""

from typing import Literal

from pydantic import Field

from agent_core.api.schema.params import Timestamp
from agent_core.base.models import CameraStatus
from agent_core.plugin import RpcResult

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


class SystemMetricsForm(RpcResult):
    """Load of the host. What the kernel or the disk does not tell is absent."""

    cpu_usage: float | None = Field(
        None, description="busy share of all processors between the last two samples, in percent"
    )
    memory_usage: float | None = Field(None, description="used share of the memory, in percent")
    disk_usage: float | None = Field(None, description="used share of the disk of the recordings, in percent")
    goroutines: int | None = Field(
        None, description="running tasks of the agent; the name is kept for clients"
    )
    network_in: int | None = Field(
        None, description="bytes received by all network interfaces but loopback since the host's boot"
    )
    network_out: int | None = Field(None, description="bytes sent by them")
    load_average: float | None = Field(None, description="processes that run or wait, averaged over a minute")
    connections: int = Field(description="open WebSocket connections of the agent")


class CameraMetricsForm(RpcResult):
    """Numbers of one camera; bytes are summed over all its streams."""

    status: CameraStatus
    recording: bool
    live: bool = Field(description="its stream can be read; false if that is unknown")
    readers: int = Field(description="readers of its stream without the agent's own")
    bytes_received: int = Field(description="bytes that the media server received from the camera")
    bytes_sent: int = Field(description="bytes that the media server sent to readers")
    uptime: float = Field(description="seconds since the camera was connected")


class CamerasMetricsForm(RpcResult):
    connected_cameras: int
    cameras: dict[str, CameraMetricsForm] = Field(description="by id, disconnected ones included")


class RunningRecordingForm(RpcResult):
    state: str = Field(description="STARTING, RECORDING or ERROR")
    file_size: int = Field(description="bytes of all segments")
    duration: float = Field(description="seconds of media")


class RecordingMetricsForm(RpcResult):
    active_recordings: int
    recordings: dict[str, RunningRecordingForm] = Field(description="recordings under way, by camera")
    started: int = Field(description="recordings whose first picture was stored")
    failures: int = Field(description="times that a recording stopped growing, or did not begin to")
    recoveries: int = Field(description="times that a recording grew again after a failure")
    stopped: int = Field(description="recordings that have ended")


class StreamMetricsForm(RpcResult):
    """Streams of the media server, those of other clients included; 0 while it is silent."""

    active_streams: int = Field(description="paths with a stream")
    total_streams: int = Field(description="paths")
    total_viewers: int = Field(description="readers of all streams without the agent's own")


class TierMetricsForm(RpcResult):
    """Numbers of one snapshot tier; the percentiles are those of its last 256 pictures, absent before the first."""

    rank: int
    name: str
    count: int = Field(description="pictures")
    attempts: int = Field(description="pictures and failures")
    failures: dict[str, int] = Field(description="failed attempts by reason")
    skips: dict[str, int] = Field(description="times that the tier was left out, by reason")
    p50_ms: float | None = None
    p95_ms: float | None = None


class SnapshotMetricsForm(RpcResult):
    tiers: list[TierMetricsForm] = Field(description="by rank")


class PathCountersForm(RpcResult):
    writes: int = Field(description="changes sent to the media server")
    retries: int = Field(description="changes sent again because it did not answer")
    repairs: int = Field(description="repairs of paths that differed from their plan")


class PathMetricsForm(PathCountersForm):
    """Sums over all paths, those of removed cameras included, and each listed camera's path by its name, the id."""

    paths: dict[str, PathCountersForm]


class HealthMetricsForm(RpcResult):
    status: Literal["HEALTHY", "DEGRADED", "UNHEALTHY"]
    breaker: Literal["closed", "open", "half_open"] = Field(
        description="state of the circuit to the media server"
    )
    openings: int = Field(description="times that the circuit has opened")
    probe_ms: float | None = Field(
        None, description="duration of the last answered probe of the media server"
    )


class EventMetricsForm(RpcResult):
    published: int
    dropped: int = Field(description="events that subscribers lost by reading too slowly")
    journal_events: int = Field(description="events kept for clients that reconnect")
    journal_bytes: int = Field(description="memory that these take")


class MethodMetricsForm(RpcResult):
    calls: int
    errors: int
    mean_ms: float


class RpcMetricsForm(RpcResult):
    """Answered calls of all connections; `unknown` stands for all methods that do not exist."""

    calls: int
    errors: int
    methods: dict[str, MethodMetricsForm] = Field(description="methods that have been called")


class MetricsForm(RpcResult):
    """All from memory: no call waits for a disk, a camera or the media server."""

    timestamp: Timestamp
    system_metrics: SystemMetricsForm
    camera_metrics: CamerasMetricsForm
    recording_metrics: RecordingMetricsForm
    stream_metrics: StreamMetricsForm
    snapshot_metrics: SnapshotMetricsForm
    path_metrics: PathMetricsForm
    health_metrics: HealthMetricsForm
    event_metrics: EventMetricsForm
    rpc_metrics: RpcMetricsForm

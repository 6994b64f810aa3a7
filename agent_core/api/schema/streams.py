from typing import Literal

from pydantic import Field

from agent_core.api.schema.params import Timestamp
from agent_core.plugin import RpcResult
from agent_core.streams.models import ModeReason, PublishMode

__all__ = (
    "FfmpegProcess",
    "PathForm",
    "StreamEntry",
    "StreamMetrics",
    "StreamStarted",
    "StreamStatusForm",
    "StreamStopped",
    "StreamUrlForm",
)


class StreamStarted(RpcResult):
    device: str
    stream_name: str
    stream_url: str
    status: Literal["STARTED"] = "STARTED"
    start_time: Timestamp
    auto_close_after: float = Field(description="seconds without readers until the stream ends")
    ffmpeg_command: str = Field(
        description="the publisher's command without its input; empty if the media server pulls"
    )


class StreamStopped(RpcResult):
    device: str
    stream_name: str
    status: Literal["STOPPED"] = "STOPPED"
    start_time: Timestamp
    end_time: Timestamp
    duration: float
    stream_continues: bool


class StreamUrlForm(RpcResult):
    device: str
    stream_name: str
    stream_url: str
    available: bool
    active_consumers: int
    stream_status: Literal["READY", "NOT_READY", "ERROR"]


class FfmpegProcess(RpcResult):
    """Publisher of the camera. `pid` and `uptime` (seconds) are null unless the agent runs it."""

    running: bool
    pid: int | None
    uptime: float | None


class PathForm(RpcResult):
    exists: bool
    ready: bool
    readers: int


class StreamMetrics(RpcResult):
    """Unknown values are null."""

    bytes_sent: int = Field(description="bytes sent to readers since the stream began")
    frames_sent: int | None = Field(
        description="frames that the publisher sent to the media server since its start, up to 2 s old; null if the server pulls, nothing is live, the publisher does not report, or the server runs it on input that does not come from the agent"
    )
    bitrate: float | None = Field(
        description="bits per second from the publisher or camera to the media server: the average of the last 5 to 7 s, or since the agent's last look at the path (every 2 s while it holds the stream); null while nothing is live and in the first seconds"
    )
    fps: float | None = Field(
        description="frame rate of the camera, as configured or detected; null while nothing is live"
    )


class StreamStatusForm(RpcResult):
    device: str
    stream_name: str
    status: Literal["ACTIVE", "INACTIVE", "ERROR", "STARTING", "STOPPING"]
    ready: bool
    mode: PublishMode = Field(
        description="the media server or the agent runs the publisher; pull: the server opens the camera's address"
    )
    mode_reason: ModeReason = Field(
        description="reason for the mode; media_server.publishers chooses between server and agent"
    )
    ffmpeg_process: FfmpegProcess
    mediamtx_path: PathForm
    metrics: StreamMetrics
    start_time: Timestamp | None
    reason: str | None = None


class StreamEntry(RpcResult):
    name: str
    source: str | None
    ready: bool
    readers: int
    bytes_sent: int

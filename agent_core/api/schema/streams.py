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
    auto_close_after: str = Field(
        description="time without readers until the stream ends, in seconds with the unit, such as 10s or 2.5s"
    )
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
    available: bool = Field(
        description="opening the address gives the stream: it is live, or the media server starts it on demand"
    )
    active_consumers: int
    stream_status: Literal["READY", "NOT_READY", "ERROR"] = Field(
        description="READY: live; NOT_READY: not live now; ERROR: a client holds the stream, but it does not become live"
    )


class FfmpegProcess(RpcResult):
    """Publisher of the camera. `pid` and `uptime` (seconds) are absent if it does not run, or does not report to the agent."""

    running: bool
    pid: int | None = None
    uptime: float | None = None


class PathForm(RpcResult):
    exists: bool
    ready: bool
    readers: int


class StreamMetrics(RpcResult):
    """Unknown values are absent."""

    bytes_sent: int = Field(description="bytes sent to readers since the stream began")
    frames_sent: int | None = Field(
        None,
        description="frames that the publisher sent to the media server since its start, up to 2 s old; absent if the server pulls, nothing is live, the publisher does not report, or the server runs it on input that does not come from the agent",
    )
    bitrate: float | None = Field(
        None,
        description="bits per second from the publisher or camera to the media server: the average of the last 5 to 7 s, or since the agent's last look at the path (every 2 s while it holds the stream); absent while nothing is live and in the first seconds",
    )
    fps: float | None = Field(
        None,
        description="frame rate of the camera, as configured or detected; absent while nothing is live",
    )


class StreamStatusForm(RpcResult):
    device: str
    stream_name: str
    status: Literal["ACTIVE", "INACTIVE", "ERROR", "STARTING", "STOPPING"] = Field(
        description="ACTIVE: live; STARTING: wanted, not live yet; ERROR: wanted, failed for reason; INACTIVE: not wanted"
    )
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
    start_time: Timestamp | None = Field(None, description="absent while nothing is live")
    reason: str | None = None


class StreamEntry(RpcResult):
    name: str
    source: str = Field(
        description="type of its source in the media server, such as rtspSession; publisher while it waits for one"
    )
    ready: bool
    readers: int
    bytes_sent: int

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
    auto_close_after: float = Field(description="seconds without readers after which the stream ends")
    ffmpeg_command: str = Field(
        description="the publisher, its input taken out; empty where the server pulls"
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
    """What publishes the camera. `pid` and `uptime` (seconds) are known where the agent runs it, else null."""

    running: bool
    pid: int | None
    uptime: float | None


class PathForm(RpcResult):
    exists: bool
    ready: bool
    readers: int


class StreamMetrics(RpcResult):
    """What is not known is null."""

    bytes_sent: int = Field(description="to readers, since the stream began")
    frames_sent: int | None = Field(
        description="that the publisher has encoded and sent to the media server since it was started, up to 2 s ago; null where the server pulls, while nothing is live, for a publisher that does not report, and for one that the server runs on input that is not the agent's"
    )
    bitrate: float | None = Field(
        description="bits a second that the media server gets from the publisher or camera, on average over the last 5 to 7 s, or since the agent looked at the path before, which is every 2 s while it holds the stream; null while nothing is live and in its first seconds"
    )
    fps: float | None = Field(
        description="of the camera, as configured or detected; null while nothing is live"
    )


class StreamStatusForm(RpcResult):
    device: str
    stream_name: str
    status: Literal["ACTIVE", "INACTIVE", "ERROR", "STARTING", "STOPPING"]
    ready: bool
    mode: PublishMode = Field(
        description="who runs the publisher: the media server or the agent; pull: the server opens the camera's address"
    )
    mode_reason: ModeReason = Field(description="the first two as media_server.publishers says")
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

"""Results of the methods about streams.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_core.client.results.words import PublishMode

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


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStarted:
    device: str
    stream_name: str
    stream_url: str
    status: str
    start_time: datetime
    #: time without readers until the stream ends, in seconds with the unit, such as 10s or 2.5s
    auto_close_after: str
    #: the publisher's command without its input; empty if the media server pulls
    ffmpeg_command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStopped:
    device: str
    stream_name: str
    status: str
    start_time: datetime
    end_time: datetime
    duration: float
    stream_continues: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUrlForm:
    device: str
    stream_name: str
    stream_url: str
    #: opening the address gives the stream: it is live, or the media server starts it on demand
    available: bool
    active_consumers: int
    #: READY: live; NOT_READY: not live now; ERROR: a client holds the stream, but it does not become live
    stream_status: Literal["READY", "NOT_READY", "ERROR"] | str


@dataclass(frozen=True, slots=True, kw_only=True)
class FfmpegProcess:
    """Publisher of the camera. `pid` and `uptime` (seconds) are absent if it does not run, or does not report to the agent."""

    running: bool
    pid: int | None = None
    uptime: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PathForm:
    exists: bool
    ready: bool
    readers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMetrics:
    """Unknown values are absent."""

    #: bytes sent to readers since the stream began
    bytes_sent: int
    #: frames that the publisher sent to the media server since its start, up to 2 s old; absent if the server pulls, nothing is live, the publisher does not report, or the server runs it on input that does not come from the agent
    frames_sent: int | None = None
    #: bits per second from the publisher or camera to the media server: the average of the last 5 to 7 s, or since the agent's last look at the path (every 2 s while it holds the stream); absent while nothing is live and in the first seconds
    bitrate: float | None = None
    #: frame rate of the camera, as configured or detected; absent while nothing is live
    fps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatusForm:
    device: str
    stream_name: str
    #: ACTIVE: live; STARTING: wanted, not live yet; ERROR: wanted, failed for reason; INACTIVE: not wanted
    status: Literal["ACTIVE", "INACTIVE", "ERROR", "STARTING", "STOPPING"] | str
    ready: bool
    #: the media server or the agent runs the publisher; pull: the server opens the camera's address
    mode: PublishMode
    #: reason for the mode; media_server.publishers chooses between server and agent
    mode_reason: Literal["server_on_this_host", "server_elsewhere", "camera_has_address"] | str
    ffmpeg_process: FfmpegProcess
    mediamtx_path: PathForm
    metrics: StreamMetrics
    #: absent while nothing is live
    start_time: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEntry:
    name: str
    #: type of its source in the media server, such as rtspSession; publisher while it waits for one
    source: str
    ready: bool
    readers: int
    bytes_sent: int

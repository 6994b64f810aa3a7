"""Values of streams: the state of a hold, the mode of publishing, and the answers to clients."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from agent_core.base.errors import AgentError
from agent_core.base.models import CameraId

__all__ = (
    "AWAITED",
    "MODE_REASONS",
    "WHEP_LIMIT_BYTES",
    "CameraTraffic",
    "MediaAddresses",
    "ModeReason",
    "PublishMode",
    "PublisherStatus",
    "ServerStream",
    "StartedStream",
    "StoppedStream",
    "StreamAddress",
    "StreamState",
    "StreamStatus",
    "WhepAnswer",
    "WhepRequest",
)


#: Longest body of a WHEP request or answer; offers of browsers have up to 10 KB.
WHEP_LIMIT_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class WhepRequest:
    """Request of WHEP to relay.

    Attributes:
        method: POST makes a session, PATCH changes one, DELETE ends one.
        session: name of the session; None for an offer.
        headers: those to pass on.
        body: at most `WHEP_LIMIT_BYTES`.
        until_over: returns when the client may view no longer; the session that it makes ends then. None: never.
        place: entered before a session is made, which it may refuse by RateLimited, and left when that has ended.
    """

    method: Literal["POST", "PATCH", "DELETE"]
    session: str | None
    headers: Mapping[str, str]
    body: bytes
    until_over: Callable[[], Awaitable[None]] | None = None
    place: AbstractContextManager[None] | None = None


@dataclass(frozen=True, slots=True)
class WhepAnswer:
    """Answer of the media server; `session` is the name of a session that it has made."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    session: str | None = None


class StreamState(StrEnum):
    INACTIVE = "INACTIVE"
    STARTING = "STARTING"
    ACTIVE = "ACTIVE"
    ERROR = "ERROR"


#: Source of a path that has none at the moment, in MediaMTX's configuration: it waits for a publisher.
AWAITED = "publisher"

ModeReason = Literal["server_on_this_host", "server_elsewhere", "camera_has_address"]


class PublishMode(StrEnum):
    """Way in which a path gets its stream: a program of the server, one of the agent, or a pull by the server."""

    SERVER = "server"
    AGENT = "agent"
    PULL = "pull"


#: The reason for each mode, as clients see it.
MODE_REASONS: Mapping[PublishMode, ModeReason] = MappingProxyType(
    {
        PublishMode.SERVER: "server_on_this_host",
        PublishMode.AGENT: "server_elsewhere",
        PublishMode.PULL: "camera_has_address",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaAddresses:
    """Host, ports and protocols of the media server; `served` is empty while there is no server."""

    host: str
    rtsp_port: int
    hls_port: int
    webrtc_port: int
    served: tuple[str, ...]

    def rtsp_url(self, camera: CameraId) -> str:
        """Return the RTSP address of the camera's stream."""
        return f"rtsp://{self.host}:{self.rtsp_port}/{camera}"

    def hls_url(self, camera: CameraId) -> str:
        """Return the address of the camera's HLS playlist."""
        return f"http://{self.host}:{self.hls_port}/{camera}/index.m3u8"

    def webrtc_url(self, camera: CameraId) -> str:
        """Return the address of the camera's WebRTC page."""
        return f"http://{self.host}:{self.webrtc_port}/{camera}/"


@dataclass(frozen=True, slots=True)
class CameraTraffic:
    """The media server's numbers for a camera; `age_s` is None if the server has never answered.

    The agent's own hold does not count as a viewer.
    """

    sent_bytes: int
    viewers: int
    age_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedStream:
    """Stream that is live for a holder. `command` is the publisher's, redacted; empty if the server pulls."""

    camera: CameraId
    url: str
    started_at: datetime
    close_after_s: float
    command: str


@dataclass(frozen=True, slots=True)
class StoppedStream:
    """Hold that has ended; `continues` if the stream has other holders or viewers."""

    camera: CameraId
    started_at: datetime
    ended_at: datetime
    continues: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAddress:
    """RTSP address of a camera's stream.

    `is_available`: opening the address gives the stream, because it is live or starts on demand. `has_failed`: the
    agent holds the stream, but it does not become live.
    """

    camera: CameraId
    url: str
    is_live: bool
    is_available: bool
    has_failed: bool
    viewers: int


@dataclass(frozen=True, slots=True)
class PublisherStatus:
    """Program that publishes a camera; `pid` and `uptime_s` are known if the agent runs it, or it reports to the agent."""

    is_running: bool
    pid: int | None = None
    uptime_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """Status of a camera's stream. Unknown numbers are None; `problem` is the reason why it is not live."""

    camera: CameraId
    state: StreamState
    is_live: bool
    has_path: bool
    mode: PublishMode
    publisher: PublisherStatus
    viewers: int
    sent_bytes: int
    sent_frames: int | None
    bits_per_s: float | None
    frames_per_s: float | None
    live_since: datetime | None
    problem: AgentError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStream:
    """Stream of the media server. `source` is the server's type of its source; AWAITED without a source."""

    name: str
    source: str
    is_live: bool
    viewers: int
    sent_bytes: int

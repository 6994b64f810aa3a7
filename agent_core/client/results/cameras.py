"""Results of the methods about cameras.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_core.client.results.controls import ControlForm
from agent_core.client.results.words import CameraStatus

__all__ = (
    "CameraCapabilities",
    "CameraForm",
    "CameraList",
    "CameraMetrics",
    "CameraStatusForm",
    "FormatsAndSizes",
    "ModeForm",
    "StreamUrls",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamUrls:
    rtsp: str
    hls: str
    webrtc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraForm:
    """A camera. `resolution` is empty and `fps` is 0 while unknown."""

    device: str
    name: str
    status: CameraStatus
    resolution: str
    fps: float
    #: same as fps
    frame_rate: float
    #: formats of its pictures, such as MJPG
    capabilities: list[str]
    streams: StreamUrls
    #: same as streams.rtsp
    stream_url: str
    #: protocols by which the media server serves this camera's codecs; empty without a connected server
    served: list[str]
    is_recording: bool
    #: true: may be another camera of the same model
    ambiguous: bool
    #: true: recognized on another port than before
    moved: bool
    #: a sentence, if the status is not CONNECTED
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraList:
    cameras: list[CameraForm]
    total: int
    connected: int
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatsAndSizes:
    """`tracks` are the codecs of the stream, such as H264, AAC or KLV, once they are known."""

    formats: list[str]
    resolutions: list[str]
    tracks: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMetrics:
    """`uptime` is the time since the camera was connected, in seconds."""

    bytes_sent: int
    readers: int
    uptime: float
    #: age of bytes_sent and readers; absent if they were never read from a media server
    age_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraStatusForm:
    """A camera as in the list, with `metrics` and full `capabilities`."""

    device: str
    name: str
    status: CameraStatus
    resolution: str
    fps: float
    frame_rate: float
    capabilities: FormatsAndSizes
    streams: StreamUrls
    stream_url: str
    served: list[str]
    is_recording: bool
    ambiguous: bool
    moved: bool
    problem: str
    metrics: CameraMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeForm:
    format: str
    width: int
    height: int
    fps: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraCapabilities:
    device: str
    formats: list[str]
    resolutions: list[str]
    fps_options: list[int]
    modes: list[ModeForm]
    controls: list[ControlForm]
    #: NONE: no modes are known
    validation_status: Literal["NONE", "DISCONNECTED", "CONFIRMED"] | str
    #: codecs of the stream, such as H264, AAC or KLV, once they are known
    tracks: list[str] | None = None

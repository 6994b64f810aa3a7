from typing import Literal

from pydantic import Field

from agent_core.api.schema.controls import ControlForm
from agent_core.api.schema.params import Timestamp
from agent_core.base.models import CameraStatus
from agent_core.plugin import RpcResult
from agent_core.rpc.notices import EventForm

__all__ = (
    "CameraCapabilities",
    "CameraEventForm",
    "CameraForm",
    "CameraList",
    "CameraMetrics",
    "CameraStatusForm",
    "FormatsAndSizes",
    "ModeForm",
    "StreamUrls",
)


class StreamUrls(RpcResult):
    rtsp: str
    hls: str
    webrtc: str


class CameraForm(RpcResult):
    """A camera. `resolution` is empty and `fps` is 0 while unknown."""

    device: str
    name: str
    status: CameraStatus
    resolution: str
    fps: float
    frame_rate: float = Field(description="same as fps")
    capabilities: list[str] = Field(description="formats of its pictures, such as MJPG")
    streams: StreamUrls
    stream_url: str = Field(description="same as streams.rtsp")
    served: list[str] = Field(
        description="protocols by which the media server serves this camera's codecs; empty without a connected server"
    )
    is_recording: bool
    ambiguous: bool = Field(description="true: may be another camera of the same model")
    moved: bool = Field(description="true: recognized on another port than before")
    problem: str = Field(description="a sentence, if the status is not CONNECTED")


class CameraEventForm(CameraForm, EventForm):
    timestamp: Timestamp


class CameraList(RpcResult):
    cameras: list[CameraForm]
    total: int
    connected: int
    timestamp: Timestamp


class CameraMetrics(RpcResult):
    """`uptime` is the time since the camera was connected, in seconds."""

    bytes_sent: int
    readers: int
    uptime: float
    age_ms: int | None = Field(
        None, description="age of bytes_sent and readers; absent if they were never read from a media server"
    )


class FormatsAndSizes(RpcResult):
    """`tracks` are the codecs of the stream, such as H264, AAC or KLV, once they are known."""

    formats: list[str]
    resolutions: list[str]
    tracks: list[str] | None = None


class CameraStatusForm(RpcResult):
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


class ModeForm(RpcResult):
    format: str
    width: int
    height: int
    fps: list[float]


class CameraCapabilities(RpcResult):
    device: str
    formats: list[str]
    resolutions: list[str]
    fps_options: list[int]
    modes: list[ModeForm]
    controls: list[ControlForm]
    validation_status: Literal["NONE", "DISCONNECTED", "CONFIRMED"] = Field(
        description="NONE: no modes are known"
    )
    tracks: list[str] | None = Field(
        None, description="codecs of the stream, such as H264, AAC or KLV, once they are known"
    )

from typing import Literal

from pydantic import Field

from agent_core.api.schema.params import Timestamp
from agent_core.base.models import CameraStatus
from agent_core.plugin import RpcResult

__all__ = (
    "CameraCapabilities",
    "CameraEventForm",
    "CameraForm",
    "CameraList",
    "CameraMetrics",
    "CameraStatusForm",
    "ControlForm",
    "FormatsAndSizes",
    "ModeForm",
    "StreamUrls",
)


class StreamUrls(RpcResult):
    rtsp: str
    hls: str
    webrtc: str


class CameraForm(RpcResult):
    """A camera. `resolution` is empty and `fps` 0 while they are not known."""

    device: str
    name: str
    status: CameraStatus
    resolution: str
    fps: float
    frame_rate: float = Field(description="the same as fps")
    capabilities: list[str]
    streams: StreamUrls
    stream_url: str = Field(description="the same as streams.rtsp")
    served: list[str] = Field(description="the protocols that are really served at the moment")
    is_recording: bool
    ambiguous: bool = Field(description="it may be another camera of the same make")
    moved: bool = Field(description="recognised on another port than the one it had before")
    problem: str = Field(description="why the status is not CONNECTED")


class CameraEventForm(CameraForm):
    timestamp: Timestamp


class CameraList(RpcResult):
    cameras: list[CameraForm]
    total: int
    connected: int
    timestamp: Timestamp


class CameraMetrics(RpcResult):
    """`uptime` is seconds since the camera was connected."""

    bytes_sent: int
    readers: int
    uptime: float
    age_ms: int | None = Field(
        description="how old bytes_sent and readers are; absent where no media server has been asked"
    )


class FormatsAndSizes(RpcResult):
    formats: list[str]
    resolutions: list[str]


class CameraStatusForm(RpcResult):
    """As the camera of the list, with `metrics`, and `capabilities` in full."""

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


class ControlForm(RpcResult):
    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int
    choices: dict[str, str] = Field(description="value to label, where the control is a menu")


class CameraCapabilities(RpcResult):
    device: str
    formats: list[str]
    resolutions: list[str]
    fps_options: list[int]
    modes: list[ModeForm]
    controls: list[ControlForm]
    validation_status: Literal["NONE", "DISCONNECTED", "CONFIRMED"]

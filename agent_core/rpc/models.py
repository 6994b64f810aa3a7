"""The wire's parameters and results: what validates a call also describes it in `rpc.discover`.

Not one field here can hold a device path: a camera on the wire is its id.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from agent_core.base.models import CAMERA_ID, CameraStatus, CapturedAtSource, PictureFormat
from agent_core.plugin import RpcParams, RpcResult
from agent_core.rpc.timestamps import Timestamp

__all__ = (
    "AnyParams",
    "CameraCapabilities",
    "CameraEventForm",
    "CameraForm",
    "CameraList",
    "CameraMetrics",
    "CameraStatusForm",
    "ControlForm",
    "DeviceParams",
    "FileForm",
    "FileList",
    "FormatsAndSizes",
    "ListParams",
    "ModeForm",
    "NameParams",
    "NoParams",
    "SnapshotForm",
    "SnapshotInfo",
    "StreamUrls",
    "TakeSnapshotParams",
    "TierAttemptForm",
)


DeviceName = Annotated[
    str, Field(pattern=f"^{CAMERA_ID.pattern}$", description="a camera's id, like camera0")
]
Pixels = Annotated[int, Field(ge=1, le=8192)]


class NoParams(RpcParams):
    pass


class AnyParams(BaseModel):
    """For methods that this build does not offer: whatever is sent, the answer says so."""

    model_config = ConfigDict(frozen=True, extra="allow")


class DeviceParams(RpcParams):
    device: DeviceName


class NameParams(RpcParams):
    filename: str = Field(min_length=1, max_length=300, description="a name as the list method returns it")


class ListParams(RpcParams):
    limit: int = Field(50, ge=1, le=1000)
    offset: int = Field(0, ge=0)
    device: DeviceName | None = Field(None, description="only this camera's")


class TakeSnapshotParams(RpcParams):
    device: DeviceName
    filename: str | None = Field(None, min_length=1, max_length=200, description="default: camera and time")
    format: PictureFormat = Field(PictureFormat.JPG)
    quality: int | None = Field(
        None, ge=1, le=100, description="JPEG quality; absent leaves the camera's JPEG as it is"
    )
    width: Pixels | None = Field(
        None,
        description="pixels; alone it keeps the proportions; a picture never gets larger than the camera's",
    )
    height: Pixels | None = Field(
        None,
        description="pixels; alone it keeps the proportions; a picture never gets larger than the camera's",
    )
    max_age_ms: int | None = Field(
        None, ge=0, le=3_600_000, description="0: exposed after this request; default 500"
    )
    deadline_ms: int | None = Field(None, ge=1, le=120_000, description="default 10000")


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


class TierAttemptForm(RpcResult):
    tier: int
    name: str
    reason: str
    ms: int


class SnapshotForm(RpcResult):
    """A snapshot that was just taken. `capture_time` is what the capture took, in seconds."""

    device: str
    filename: str
    file_path: str
    file_size: int
    resolution: str
    format: PictureFormat
    status: Literal["SUCCESS"] = "SUCCESS"
    tier_used: int = Field(ge=0, le=3)
    tier_name: str
    capture_time: float
    timestamp: Timestamp
    captured_at: Timestamp
    captured_at_source: CapturedAtSource
    age_ms: int
    settled: bool = Field(
        description="false: the camera had just started and was still adjusting its exposure"
    )
    tiers_tried: list[TierAttemptForm]
    download_url: str


class FileForm(RpcResult):
    filename: str
    device: str
    file_size: int
    modified_time: Timestamp
    format: str
    download_url: str


class FileList(RpcResult):
    files: list[FileForm]
    total: int
    limit: int
    offset: int


class SnapshotInfo(RpcResult):
    """`resolution` is what the file's header says; empty if it is no JPEG or PNG."""

    filename: str
    device: str
    file_size: int
    created_time: Timestamp
    timestamp: Timestamp
    resolution: str
    format: PictureFormat
    status: Literal["SUCCESS"] = "SUCCESS"
    file_path: str
    download_url: str

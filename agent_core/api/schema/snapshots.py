from typing import Annotated, Literal

from pydantic import Field

from agent_core.api.schema.params import DeviceName, Timestamp
from agent_core.base.models import CapturedAtSource, PictureFormat, SettledBy
from agent_core.plugin import RpcParams, RpcResult
from agent_core.rpc.notices import EventForm

__all__ = (
    "Deadline",
    "FileForm",
    "FileList",
    "MaxAge",
    "Quality",
    "Side",
    "SnapshotEventForm",
    "SnapshotForm",
    "SnapshotInfo",
    "TakeSnapshotParams",
    "TierAttemptForm",
)

Pixels = Annotated[int, Field(ge=1, le=8192)]
#: Wishes for a picture, stored or not.
Quality = Annotated[
    int | None,
    Field(ge=1, le=100, description="JPEG quality; by default the camera's JPEG is kept unchanged"),
]
Side = Annotated[
    Pixels | None,
    Field(description="pixels; width or height alone keeps the aspect ratio; pictures are never enlarged"),
]
MaxAge = Annotated[
    int | None,
    Field(
        ge=0,
        le=3_600_000,
        description="largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms",
    ),
]
Deadline = Annotated[
    int | None,
    Field(ge=1, le=120_000, description="time limit of the call; default: snapshots.deadline_ms"),
]


class TakeSnapshotParams(RpcParams):
    device: DeviceName
    filename: str | None = Field(
        None, min_length=1, max_length=200, description="default: made from camera and time"
    )
    format: PictureFormat = Field(PictureFormat.JPG)
    quality: Quality = None
    width: Side = None
    height: Side = None
    max_age_ms: MaxAge = None
    deadline_ms: Deadline = None


class TierAttemptForm(RpcResult):
    tier: int
    name: str
    reason: str
    details: str = Field(description="why the tier gave no picture, as a sentence")
    ms: int = Field(description="duration of the attempt; 0 if the tier was not tried")


class SnapshotForm(RpcResult):
    """A snapshot that was just taken. `capture_time` is the duration of the capture in seconds."""

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
    timestamp: Timestamp = Field(description="time to which age_ms refers, just before it was stored")
    captured_at: Timestamp
    captured_at_source: CapturedAtSource
    age_ms: int
    settled: bool = Field(
        description="false: the camera had just started and was still adjusting its exposure"
    )
    settled_by: SettledBy | None = Field(
        None,
        description="why the exposure counts as settled: brightness: the pictures were equally bright; time: the configured time"
        " had passed; limit: the pictures stayed black or white, or kept changing, until the longest wait was over;"
        " left out where the agent does not wait, and before",
    )
    settle_ms: int | None = Field(
        None,
        description="time from the first picture after the camera's start until its exposure settled; left out as settled_by",
    )
    tiers_tried: list[TierAttemptForm]
    download_url: str | None = Field(None, description="left out while the agent's secret is unusable")


class SnapshotEventForm(SnapshotForm, EventForm):
    pass


class FileForm(RpcResult):
    filename: str
    device: str
    file_size: int
    modified_time: Timestamp
    format: str
    download_url: str | None = Field(None, description="left out while the agent's secret is unusable")
    thumbnail_url: str | None = Field(None, description="small JPEG, made at the first request")


class FileList(RpcResult):
    files: list[FileForm]
    total: int
    limit: int
    offset: int


class SnapshotInfo(RpcResult):
    """`resolution` is read from the file's header; empty if the file is neither JPEG nor PNG."""

    filename: str
    device: str
    file_size: int
    created_time: Timestamp
    timestamp: Timestamp
    resolution: str
    format: PictureFormat
    status: Literal["SUCCESS"] = "SUCCESS"
    file_path: str
    download_url: str | None = Field(None, description="left out while the agent's secret is unusable")
    thumbnail_url: str | None = Field(None, description="small JPEG, made at the first request")

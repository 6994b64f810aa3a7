"""Parameters and results of the method about pictures that are not stored."""

from typing import Final, Literal

from pydantic import Field

from agent_core.api.schema.params import DeviceName, Timestamp
from agent_core.api.schema.snapshots import Deadline, MaxAge, Quality, Side
from agent_core.base.models import CapturedAtSource, PictureFormat
from agent_core.plugin import RpcParams, RpcResult

__all__ = ("MOST_PICTURE_BYTES", "GetPictureParams", "PictureForm")

#: Base64 makes a third more of them, and the message stays below 1 MiB, which clients and brokers accept by default.
MOST_PICTURE_BYTES: Final = 700_000


class GetPictureParams(RpcParams):
    device: DeviceName
    format: PictureFormat = Field(PictureFormat.JPG)
    quality: Quality = None
    width: Side = None
    height: Side = None
    max_age_ms: MaxAge = None
    deadline_ms: Deadline = None
    max_bytes: int = Field(
        MOST_PICTURE_BYTES,
        ge=1024,
        le=MOST_PICTURE_BYTES,
        description="largest picture, before base64; the error for a larger one proposes a width",
    )


class PictureForm(RpcResult):
    """A picture that was just taken, and is not stored."""

    device: str
    content_type: Literal["image/jpeg", "image/png"]
    width: int
    height: int
    size_bytes: int = Field(description="size of the picture, before base64")
    timestamp: Timestamp = Field(description="time to which age_ms refers")
    captured_at: Timestamp
    captured_at_source: CapturedAtSource
    age_ms: int
    settled: bool = Field(
        description="false: the camera had just started and was still adjusting its exposure"
    )
    tier_used: int = Field(ge=0, le=3)
    tier_name: str
    data: str = Field(description="the picture in base64")

"""Parameters and results of the methods about recordings."""

from typing import Literal

from pydantic import Field

from agent_core.api.schema.params import DeviceName, Timestamp
from agent_core.plugin import RpcParams, RpcResult
from agent_core.recordings.models import RecordingFormat
from agent_core.rpc.notices import EventForm

__all__ = (
    "RecordingEventForm",
    "RecordingFile",
    "RecordingFileList",
    "RecordingInfo",
    "RecordingStarted",
    "RecordingStopped",
    "SegmentFile",
    "SegmentForm",
    "StartRecordingParams",
)


class StartRecordingParams(RpcParams):
    device: DeviceName
    duration: int | None = Field(
        None, ge=1, le=86_400, description="length in seconds, from the first picture"
    )
    format: Literal["fmp4", "mpegts", "mp4"] | None = Field(
        None,
        description="default: fmp4, or mpegts for a camera with KLV data, which fmp4 cannot hold; mp4 is another name for fmp4",
    )
    wait: bool = Field(default=False, description="true: answer only when bytes are on disk")

    @property
    def recording_format(self) -> RecordingFormat | None:
        if self.format is None:
            return None
        return RecordingFormat("fmp4" if self.format == "mp4" else self.format)


class RecordingStarted(RpcResult):
    device: str
    filename: str = Field(description="id of the recording")
    status: Literal["STARTING", "RECORDING"]
    start_time: Timestamp
    format: RecordingFormat
    duration: int | None = None
    auto_stop: bool = Field(description="true: it ends by itself after duration")
    notes: list[str] | None = Field(
        None, description="sentences about tracks that are left out, or that have decided the format"
    )


class SegmentForm(RpcResult):
    filename: str
    file_size: int
    duration: float


class SegmentFile(SegmentForm):
    download_url: str | None = Field(None, description="left out while the agent's secret is unusable")


class RecordingStopped(RpcResult):
    """`reason` tells why a recording differs from the request, for example has no segments."""

    device: str
    filename: str
    status: Literal["STOPPED"] = "STOPPED"
    start_time: Timestamp
    end_time: Timestamp
    duration: int = Field(description="length of the media in whole seconds")
    file_size: int = Field(description="bytes of all segments")
    format: RecordingFormat
    segments: list[SegmentForm]
    reason: str | None = None


class RecordingFile(RpcResult):
    filename: str
    device: str
    file_size: int = Field(description="bytes of all segments; those of the joined file may differ")
    modified_time: Timestamp
    duration: float
    format: RecordingFormat
    download_url: str | None = Field(
        None, description="left out without media, or while the agent's secret is unusable"
    )
    thumbnail_url: str | None = Field(
        None, description="small JPEG, made at the first request; only if a plugin decodes recordings"
    )


class RecordingFileList(RpcResult):
    files: list[RecordingFile]
    total: int
    limit: int
    offset: int


class RecordingInfo(RpcResult):
    """`complete` is true if the recording was stopped while the agent was running."""

    filename: str
    device: str
    file_size: int = Field(description="bytes of all segments; those of the joined file may differ")
    duration: float
    created_time: Timestamp
    format: RecordingFormat
    complete: bool
    segments: list[SegmentFile]
    reason: str | None = None
    download_url: str | None = Field(
        None, description="left out without media, or while the agent's secret is unusable"
    )
    thumbnail_url: str | None = Field(
        None, description="small JPEG, made at the first request; only if a plugin decodes recordings"
    )


class RecordingEventForm(EventForm):
    device: str
    status: str = Field(
        description="STARTED, STOPPED or ERROR; of recording_status_update: STARTING, RECORDING, ERROR, SUSPENDED or STOPPED"
    )
    filename: str = Field(description="id of the recording")
    duration: float = Field(description="seconds of media")
    reason: str | None = None
    timestamp: Timestamp

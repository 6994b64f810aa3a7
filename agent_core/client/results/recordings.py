"""Results of the methods about recordings.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from agent_core.client.results.words import RecordingFormat

__all__ = (
    "RecordingFile",
    "RecordingFileList",
    "RecordingInfo",
    "RecordingStarted",
    "RecordingStopped",
    "SegmentFile",
    "SegmentForm",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStarted:
    device: str
    #: id of the recording
    filename: str
    status: Literal["STARTING", "RECORDING"] | str
    start_time: datetime
    format: RecordingFormat
    duration: int | None = None
    #: true: it ends by itself after duration
    auto_stop: bool
    #: sentences about tracks that are left out, or that have decided the format
    notes: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentForm:
    filename: str
    file_size: int
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStopped:
    """`reason` tells why a recording differs from the request, for example has no segments."""

    device: str
    filename: str
    status: str
    start_time: datetime
    end_time: datetime
    #: length of the media in whole seconds
    duration: int
    #: bytes of all segments
    file_size: int
    format: RecordingFormat
    segments: list[SegmentForm]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFile:
    filename: str
    device: str
    #: bytes of all segments; those of the joined file may differ
    file_size: int
    modified_time: datetime
    duration: float
    format: RecordingFormat
    #: left out without media, or while the agent's secret is unusable
    download_url: str | None = None
    #: small JPEG, made at the first request; only if a plugin decodes recordings
    thumbnail_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFileList:
    files: list[RecordingFile]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentFile:
    filename: str
    file_size: int
    duration: float
    #: left out while the agent's secret is unusable
    download_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingInfo:
    """`complete` is true if the recording was stopped while the agent was running."""

    filename: str
    device: str
    #: bytes of all segments; those of the joined file may differ
    file_size: int
    duration: float
    created_time: datetime
    format: RecordingFormat
    complete: bool
    segments: list[SegmentFile]
    reason: str | None = None
    #: left out without media, or while the agent's secret is unusable
    download_url: str | None = None
    #: small JPEG, made at the first request; only if a plugin decodes recordings
    thumbnail_url: str | None = None

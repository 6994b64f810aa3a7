"""Results of the methods about snapshots.

Apart from the rest of the client, because `scripts/py-client` writes it from the method table; do not edit it.
"""

from dataclasses import dataclass
from datetime import datetime

from agent_core.client.results.words import CapturedAtSource, PictureFormat, SettledBy

__all__ = ("FileForm", "FileList", "SnapshotForm", "SnapshotInfo", "TierAttemptForm")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileForm:
    filename: str
    device: str
    file_size: int
    modified_time: datetime
    format: str
    #: left out while the agent's secret is unusable
    download_url: str | None = None
    #: small JPEG, made at the first request
    thumbnail_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileList:
    files: list[FileForm]
    total: int
    limit: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInfo:
    """`resolution` is read from the file's header; empty if the file is neither JPEG nor PNG."""

    filename: str
    device: str
    file_size: int
    created_time: datetime
    timestamp: datetime
    resolution: str
    format: PictureFormat
    status: str
    file_path: str
    #: left out while the agent's secret is unusable
    download_url: str | None = None
    #: small JPEG, made at the first request
    thumbnail_url: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TierAttemptForm:
    tier: int
    name: str
    reason: str
    #: why the tier gave no picture, as a sentence
    details: str
    #: duration of the attempt; 0 if the tier was not tried
    ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotForm:
    """A snapshot that was just taken. `capture_time` is the duration of the capture in seconds."""

    device: str
    filename: str
    file_path: str
    file_size: int
    resolution: str
    format: PictureFormat
    status: str
    tier_used: int
    tier_name: str
    capture_time: float
    #: time to which age_ms refers, just before it was stored
    timestamp: datetime
    captured_at: datetime
    captured_at_source: CapturedAtSource
    age_ms: int
    #: false: the camera had just started and was still adjusting its exposure
    settled: bool
    #: why the exposure counts as settled: brightness: the pictures were equally bright; time: the configured time had passed; limit: the pictures stayed black or white, or kept changing, until the longest wait was over; left out where the agent does not wait, and before
    settled_by: SettledBy | None = None
    #: time from the first picture after the camera's start until its exposure settled; left out as settled_by
    settle_ms: int | None = None
    tiers_tried: list[TierAttemptForm]
    #: left out while the agent's secret is unusable
    download_url: str | None = None

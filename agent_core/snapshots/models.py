"""Values of snapshots: requests, results and stored files."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent_core.base.models import CameraId, CapturedAtSource, Picture, PictureFormat, Settlement

__all__ = (
    "LivePicture",
    "Snapshot",
    "SnapshotDetails",
    "SnapshotRequest",
    "StoredFile",
    "TakenPicture",
    "TierAttempt",
)


@dataclass(frozen=True, slots=True)
class TierAttempt:
    """Tier that gave no picture, with the reason: it failed after `duration_s`, or was not tried.

    `details` is a sentence, `suggestion` the next step for the operator.
    """

    rank: int
    name: str
    reason: str
    details: str
    duration_s: float = 0.0
    suggestion: str = ""
    was_tried: bool = True


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """Still in the wanted form, which is not stored; `age_s` is its age at `taken_at`."""

    picture: Picture
    tier_rank: int
    tier_name: str
    duration_s: float
    captured_at: datetime
    age_s: float
    taken_at: datetime
    tiers_tried: tuple[TierAttempt, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LivePicture:
    """JPEG of a live view. Each instance equals only itself, so its viewers can share work on it by identity.

    `captured_s` (monotonic) and `captured_at` are the time of exposure, as exactly as the camera's source knows it.
    """

    data: bytes
    width: int
    height: int
    captured_s: float
    captured_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Stored still. `name` is `<camera>/<file>`; `age_s` is the age of the picture at `taken_at`."""

    camera: CameraId
    name: str
    path: Path
    size_bytes: int
    width: int
    height: int
    format: PictureFormat
    tier_rank: int
    tier_name: str
    duration_s: float
    captured_at: datetime
    captured_at_source: CapturedAtSource
    age_s: float
    taken_at: datetime
    settled: bool = True
    tiers_tried: tuple[TierAttempt, ...] = ()
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class SnapshotRequest:
    """Request for a snapshot by `user`; None means the configured default, or no change of the picture."""

    name: str | None = None
    format: PictureFormat = PictureFormat.JPG
    quality: int | None = None
    width: int | None = None
    height: int | None = None
    max_age_ms: int | None = None
    deadline_ms: int | None = None
    user: str = ""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """Stored snapshot. `name` is `<camera>/<file>`, unique in its store; `path` is the file on this host."""

    name: str
    camera: CameraId
    path: Path
    size_bytes: int
    modified_at: datetime
    format: PictureFormat


@dataclass(frozen=True, slots=True)
class SnapshotDetails:
    """Stored snapshot; `size` is its width and height in pixels, None if the file is not a picture."""

    stored: StoredFile
    size: tuple[int, int] | None

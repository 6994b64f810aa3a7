from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from agent_core.base.models import CameraId
from agent_core.base.moments import UtcMoment
from agent_core.base.room import Room
from agent_core.media.retention import Cleaned, Plan
from agent_core.recordings.segments import Segment

__all__ = (
    "Cleanup",
    "ListedRecording",
    "RecordingDetails",
    "RecordingEvent",
    "RecordingFormat",
    "RecordingNote",
    "RecordingState",
    "StartedRecording",
    "Stopped",
    "StorageInfo",
    "StoredRecording",
)


class RecordingState(StrEnum):
    """State of a recording: STARTING until media is on disk, ERROR while its files should grow and do not.

    SUSPENDED when the agent stops and the next start will continue the recording.
    """

    STARTING = "STARTING"
    RECORDING = "RECORDING"
    ERROR = "ERROR"
    SUSPENDED = "SUSPENDED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class RecordingEvent:
    """Change of a recording's state; `duration_s` is the media on disk at that time, in seconds."""

    camera: CameraId
    recording: str
    state: RecordingState
    duration_s: float
    reason: str = ""


class RecordingFormat(StrEnum):
    FMP4 = "fmp4"
    MPEGTS = "mpegts"

    @property
    def suffix(self) -> str:
        """End of the names of its files."""
        return ".mp4" if self is RecordingFormat.FMP4 else ".ts"


class RecordingNote(BaseModel):
    """Facts about a recording that its media files do not hold.

    `ended_at` is None until the recording is stopped; `duration_s` is the requested duration. `seen_at` is a time at
    which the agent was still running the recording: when it was suspended, or a while ago if nothing is written.
    `first_at` is the time of the first picture, from which `duration_s` counts; known once `seen_at` is.
    `order` names files whose times are not in their order, because the clock was set back: see
    `segment_order.in_order`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    id: str
    camera: str
    format: RecordingFormat
    started_at: UtcMoment
    duration_s: FiniteFloat | None = None
    ended_at: UtcMoment | None = None
    seen_at: UtcMoment | None = None
    first_at: UtcMoment | None = None
    reason: str = ""
    order: tuple[str, ...] = ()

    @property
    def whole_name(self) -> str:
        """Name under which the whole recording is downloaded as one file."""
        return f"{self.id}{self.format.suffix}"


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """Folder of a recording: its note and its segments, oldest first, without empty files.

    `names` are the names of all its media files in the same order, those of empty ones included.
    """

    note: RecordingNote
    folder: Path
    segments: tuple[Segment, ...]
    names: tuple[str, ...] = ()

    @property
    def is_last_empty(self) -> bool:
        """True if the newest file is empty: not written yet, or never on a full disk."""
        return self.names[-1:] != tuple(segment.name for segment in self.segments[-1:])

    @property
    def size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self.segments)

    @property
    def modified_at(self) -> datetime:
        return max((segment.modified_at for segment in self.segments), default=self.note.started_at)

    @property
    def interrupted_at(self) -> datetime:
        """The latest time at which the agent is known to have run this recording, which has not ended."""
        return max(self.modified_at, self.note.seen_at or self.note.started_at)


@dataclass(frozen=True, slots=True)
class ListedRecording:
    """Recording in a list, with the seconds of media in it."""

    stored: StoredRecording
    duration_s: float


@dataclass(frozen=True, slots=True)
class Stopped:
    """Ended recording with the seconds of media in each segment; `reason` says why it ended early."""

    stored: StoredRecording
    ended_at: datetime
    durations_s: tuple[float, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class StartedRecording:
    """Recording that was just started, and its state at that moment; `notes` are sentences about the tracks in it."""

    note: RecordingNote
    state: RecordingState
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordingDetails:
    """Stored recording with the seconds of media in each segment.

    `is_complete` is True once it has ended; `reason` says what is or was wrong with it, else it is empty.
    """

    stored: StoredRecording
    durations_s: tuple[float, ...]
    is_complete: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Cleanup:
    """Result of a cleanup that was asked for; `doubt` is a sentence if nothing was deleted by age, else empty."""

    plan: Plan
    cleaned: Cleaned
    doubt: str


@dataclass(frozen=True, slots=True)
class StorageInfo:
    """Room on the disk for recordings, and the bytes of all stored media.

    Attributes:
        room: the disk for recordings.
        recordings_bytes, snapshots_bytes: None while they are counted, or their disk is not there.
        is_low: True if the disk for recordings or that for snapshots has little room.
        hours_left: hours until the disk for recordings is full at the present rate; None while nothing is recorded.
    """

    room: Room
    recordings_bytes: int | None
    snapshots_bytes: int | None
    is_low: bool
    hours_left: float | None

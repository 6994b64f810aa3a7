from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, FiniteFloat

from agent_core.base.models import CameraId
from agent_core.recordings.segments import Segment

__all__ = ("RecordingEvent", "RecordingFormat", "RecordingNote", "RecordingState", "StoredRecording")


class RecordingState(StrEnum):
    """STARTING until bytes are on disk; ERROR while they should grow and do not."""

    STARTING = "STARTING"
    RECORDING = "RECORDING"
    ERROR = "ERROR"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class RecordingEvent:
    """A recording's state has changed; `duration_s` is what is on disk by then."""

    camera: CameraId
    recording: str
    state: RecordingState
    duration_s: float
    reason: str = ""


class RecordingFormat(StrEnum):
    FMP4 = "fmp4"
    MPEGTS = "mpegts"


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("it is outside the years that a date can have") from error


#: In UTC, so that it can be compared and sent whatever its offset was.
_Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class RecordingNote(BaseModel):
    """What the agent knows of a recording and its files do not say.

    `ended_at` is None until it was stopped, `duration_s` what it was started with.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    camera: str
    format: RecordingFormat
    started_at: _Moment
    duration_s: FiniteFloat | None = None
    ended_at: _Moment | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording's folder: its note and its segments, oldest first; a file with nothing in it is none."""

    note: RecordingNote
    folder: Path
    segments: tuple[Segment, ...]

    @property
    def size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self.segments)

    @property
    def modified_at(self) -> datetime:
        return max((segment.modified_at for segment in self.segments), default=self.note.started_at)

"""Errors of recordings: each function makes one, with its reason and suggestion."""

from agent_core.base.errors import (
    AgentError,
    DependencyFailed,
    InvalidState,
    NotFound,
    StorageFailed,
    Unsupported,
)
from agent_core.base.models import CameraId
from agent_core.recordings.models import RecordingState

__all__ = (
    "DISK_FULL",
    "LOW_SPACE",
    "already_recording",
    "disk_full",
    "in_use",
    "low_space",
    "no_media",
    "no_recording",
    "not_local",
    "not_recording",
    "stopped_early",
    "stopping",
    "suspended",
    "why_empty",
)

#: Reason of a recording that a full disk has cut short.
DISK_FULL = "disk_full"
#: Reason of a recording that does not start because the disk is below its floor.
LOW_SPACE = "low_space"


def already_recording(camera: CameraId, state: RecordingState) -> InvalidState:
    """Return the error for starting a recording twice."""
    return InvalidState(
        f"{camera} is already recording.",
        state=state.value,
        allowed_states=("IDLE",),
        reason="already_recording",
        suggestion="Stop it first, or leave it recording.",
    )


def not_recording(camera: CameraId) -> InvalidState:
    """Return the error for stopping a camera that is not recording."""
    return InvalidState(
        f"{camera} is not recording.",
        state="IDLE",
        allowed_states=("STARTING", "RECORDING", "ERROR"),
        reason="not_recording",
        suggestion="Start a recording first.",
    )


def in_use(state: RecordingState) -> InvalidState:
    """Return the error for deleting a recording that is under way or will continue."""
    return InvalidState(
        "This recording has not ended, so it cannot be deleted.",
        state=state.value,
        allowed_states=("STOPPED",),
        reason="in_use",
        suggestion="Stop the camera's recording first.",
    )


def stopped_early() -> InvalidState:
    """Return the error for a caller that waited for a recording which was stopped before its first picture."""
    return InvalidState(
        "The recording was stopped before its first picture.",
        state="STOPPED",
        allowed_states=("STARTING", "RECORDING"),
        reason="stopped",
        suggestion="Start it again.",
    )


def suspended() -> InvalidState:
    """Return the error for a caller that waited for a recording which was suspended before its first picture."""
    return InvalidState(
        "The agent is stopping; the recording, which has no picture yet, continues at its next start.",
        state="SUSPENDED",
        allowed_states=("STARTING", "RECORDING"),
        reason="suspended",
        suggestion="Connect again when the agent runs, and see get_camera_status.",
    )


def stopping() -> InvalidState:
    """Return the error for starting a recording while the agent stops."""
    return InvalidState(
        "The agent is stopping and starts no recording.",
        state="STOPPING",
        allowed_states=("RUNNING",),
        reason="agent_stopping",
        suggestion="Connect again when the agent runs, and start the recording then.",
    )


def no_media(problem: AgentError | None) -> DependencyFailed:
    """Return the error for a recording without media: a stream's problem, or an unknown cause."""
    if problem is not None:
        return DependencyFailed(
            f"No picture reaches the recording: {problem.details}",
            reason=problem.reason,
            suggestion=problem.suggestion,
            dependency="stream",
        )
    return DependencyFailed(
        "Nothing is being written, and the media server does not say why.",
        reason="not_growing",
        suggestion="See the media server's log; its user must be able to write to the folder of recordings.",
        dependency="media_server",
    )


def disk_full(*, has_inodes: bool = True) -> StorageFailed:
    """Return the error for a disk without room: for bytes, or, without inodes, for files."""
    if not has_inodes:
        return StorageFailed(
            "The disk for recordings has no free inodes: no file can be made on it.",
            reason=DISK_FULL,
            suggestion="Delete files on this disk, however small; a recording then continues by itself.",
        )
    return StorageFailed(
        "The disk for recordings is full.",
        reason=DISK_FULL,
        suggestion="Free some space on this disk; a recording then continues by itself.",
    )


def low_space(free_bytes: int, floor_bytes: int) -> StorageFailed:
    """Return the error for starting a recording on a disk below its floor."""
    return StorageFailed(
        f"The disk for recordings has {free_bytes >> 20} MiB free, less than its floor of {floor_bytes >> 20} MiB, "
        "so no recording starts.",
        reason=LOW_SPACE,
        suggestion="Delete recordings or other files on this disk, or let set_retention_policy delete old ones; "
        "storage.min_free_bytes sets the floor.",
    )


def why_empty(problem: AgentError | None) -> str:
    """Return the reason for a recording that was stopped without a segment."""
    return problem.reason if problem else "stopped_before_first_picture"


def not_local() -> Unsupported:
    """Return the error for recordings that the media server writes on another host."""
    return Unsupported(
        "The media server is on another host, so its recordings are not on this one.",
        feature="recordings_not_local",
        reason="recordings_not_local",
        suggestion="Record with a media server on this host (media_server.mode managed or embedded). If this one writes into this host's folder of recordings, set media_server.shares_recordings = true.",
    )


def no_recording(recording_id: str) -> NotFound:
    """Return the error for an unknown recording."""
    return NotFound(
        "There is no recording of that name.",
        resource="recording",
        id=recording_id,
        suggestion="Call list_recordings for the names.",
    )

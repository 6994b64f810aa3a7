from agent_core.base.errors import AgentError, DependencyFailed, InvalidState, NotFound, Unsupported
from agent_core.base.models import CameraId
from agent_core.recordings.models import RecordingState

__all__ = ("already_recording", "no_media", "no_recording", "not_local", "not_recording", "why_empty")


def already_recording(camera: CameraId, state: RecordingState) -> InvalidState:
    """Return the error of a second start."""
    return InvalidState(
        f"{camera} is recording already.",
        state=state.value,
        allowed_states=("IDLE",),
        reason="already_recording",
        suggestion="Stop it first, or leave it recording.",
    )


def not_recording(camera: CameraId) -> InvalidState:
    """Return the error of a stop without a start."""
    return InvalidState(
        f"{camera} is not recording.",
        state="IDLE",
        allowed_states=("STARTING", "RECORDING", "ERROR"),
        reason="not_recording",
        suggestion="Start a recording first.",
    )


def no_media(problem: AgentError | None, *, is_disk_full: bool = False) -> DependencyFailed:
    """Why nothing is recorded, as far as it is known: the disk, the stream, or nobody knows."""
    if is_disk_full:
        return DependencyFailed(
            "The disk for recordings is full.",
            reason="disk_full",
            suggestion="Free some space on this disk; the recording goes on by itself.",
            dependency="storage",
        )
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
        suggestion="See the media server's log; its account must be able to write to the folder of recordings.",
        dependency="media_server",
    )


def why_empty(problem: AgentError | None) -> str:
    """The reason of a recording that was stopped without a segment."""
    return problem.reason if problem else "stopped_before_first_picture"


def not_local() -> Unsupported:
    return Unsupported(
        "The media server is not on this host, so what it records is not here.",
        feature="recordings_not_local",
        reason="recordings_not_local",
        suggestion="Record with a media server on this host (media_server.mode managed or embedded). If this one writes into this host's folder of recordings, set media_server.shares_recordings = true.",
    )


def no_recording(recording_id: str) -> NotFound:
    return NotFound(
        "There is no recording of that name.",
        resource="recording",
        id=recording_id,
        suggestion="Call list_recordings for the names.",
    )

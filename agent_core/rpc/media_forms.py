"""What the methods about streams and recordings say about one of them."""

from agent_core.mediamtx.schema import RuntimePath
from agent_core.models import Camera
from agent_core.recording_files import StoredRecording
from agent_core.recordings import Active, Stopped
from agent_core.rpc import media_models as wire

__all__ = ("going_wrong", "is_published", "segments", "stopped")


def is_published(camera: Camera, path: RuntimePath | None) -> bool:
    return path is not None and path.source is not None and path.source.type.endswith("Session")


def going_wrong(active: Active | None) -> str | None:
    return active.problem.reason if active and active.problem and active.state.value == "ERROR" else None


def segments(stored: StoredRecording, durations_s: list[float]) -> list[wire.SegmentForm]:
    return [
        wire.SegmentForm(filename=each.name, file_size=each.size_bytes, duration=round(duration_s, 3))
        for each, duration_s in zip(stored.segments, durations_s, strict=True)
    ]


def stopped(stopped: Stopped) -> wire.RecordingStopped:
    note = stopped.stored.note
    return wire.RecordingStopped(
        device=note.camera,
        filename=note.id,
        start_time=note.started_at,
        end_time=stopped.ended_at,
        duration=round(sum(stopped.durations_s)),
        file_size=stopped.stored.size_bytes,
        format=note.format,
        segments=segments(stopped.stored, list(stopped.durations_s)),
        reason=stopped.reason or None,
    )

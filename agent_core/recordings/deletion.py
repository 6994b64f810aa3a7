"""Deletion of one recording at a client's request; one that is under way, or will continue, is refused.

Apart from the manager, which runs recordings and leaves those that have ended to the store.
"""

from agent_core.base.errors import InvalidState
from agent_core.base.models import CameraId
from agent_core.recordings.manager import RecordingManager
from agent_core.recordings.models import RecordingState, StoredRecording
from agent_core.recordings.problems import in_use
from agent_core.recordings.store import RecordingStore

__all__ = ("delete_recording",)


async def delete_recording(
    recordings: RecordingManager, store: RecordingStore, recording_id: str
) -> StoredRecording:
    """Delete a recording that has ended; return it as it was.

    The camera's lock keeps it from being continued meanwhile. Runs to its end even if cancelled.

    Raises:
        InvalidState: `in_use`: it is under way, or waits to continue, or may do so: without an end, before the agent knows.
        NotFound: there is no such recording.
        StorageFailed: a file cannot be deleted; the files after it are kept.
        Unsupported: the media server keeps recordings on another host.
    """
    camera = CameraId((await store.find(recording_id)).note.camera)
    async with recordings.locks.hold(camera):
        stored = await store.find(recording_id)
        if refusal := _refusal(recordings, stored):
            raise refusal
        await store.threads.run(store.delete, stored)
    return stored


def _refusal(recordings: RecordingManager, stored: StoredRecording) -> InvalidState | None:
    active = recordings.active(CameraId(stored.note.camera))
    if active is not None and active.note.id == stored.note.id:
        return in_use(active.state)
    return in_use(RecordingState.SUSPENDED) if recordings.is_expected(stored) else None

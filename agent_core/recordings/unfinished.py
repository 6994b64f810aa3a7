"""Recordings that an earlier run of the agent left without an end: those that wait to continue, and their closing."""

import logging
from dataclasses import replace

from agent_core.base.errors import NotFound, StorageFailed
from agent_core.base.events import EventBus
from agent_core.base.models import CameraId
from agent_core.recordings.models import (
    RecordingEvent,
    RecordingNote,
    RecordingState,
    Stopped,
    StoredRecording,
)
from agent_core.recordings.store import RecordingStore

__all__ = ("INTERRUPTED", "Unfinished")

_log = logging.getLogger("camera_agent.recordings")

#: Reason of a recording that ended while the agent did not run it.
INTERRUPTED = "interrupted"


class Unfinished:
    """Unfinished recordings of an earlier run, at most one per camera. Callers hold the camera's lock."""

    def __init__(self, store: RecordingStore, events: EventBus) -> None:
        self._store = store
        self._events = events
        self._waiting: dict[CameraId, StoredRecording] = {}
        self._are_known = False

    def add(self, *stored: StoredRecording) -> None:
        """Let these recordings wait until they continue, and no others."""
        self._are_known = True
        self._waiting |= {CameraId(each.note.camera): each for each in stored}

    def is_waiting(self, note: RecordingNote) -> bool:
        """Return True if the recording waits to continue, or may do so while it is not known which ones do."""
        return self._waits(note) or (not self._are_known and note.ended_at is None)

    def _waits(self, note: RecordingNote) -> bool:
        waiting = self._waiting.get(CameraId(note.camera))
        return waiting is not None and waiting.note.id == note.id

    def forget(self, note: RecordingNote) -> None:
        """Let the recording wait no longer."""
        if self._waits(note):
            del self._waiting[CameraId(note.camera)]

    async def read(self, stored: StoredRecording) -> StoredRecording | None:
        """Return the recording as it is on disk now; None if it has ended or was deleted.

        Raises:
            StorageFailed: it cannot be read.
        """
        try:
            found = await self._store.find(stored.note.id)
        except NotFound:
            return None
        return found if found.note.ended_at is None else None

    async def end_waiting(self, camera: CameraId, reason: str) -> Stopped | None:
        """End the camera's waiting recording; return None if there is none. Raises as `end`."""
        waiting = self._waiting.get(camera)
        return None if waiting is None else await self.end(waiting, reason)

    async def end(self, stored: StoredRecording, reason: str) -> Stopped | None:
        """End a recording; return None if it has ended or was deleted meanwhile.

        Raises:
            StorageFailed: it cannot be read.
        """
        self.forget(stored.note)
        found = await self.read(stored)
        return None if found is None else await self._close(found, reason)

    async def _close(self, stored: StoredRecording, reason: str) -> Stopped:
        """Save the time of the last write as the end, repair the files, and publish `recording.stop`.

        Deletes a recording without media. Logs a disk that cannot be written.
        """
        note = stored.note.model_copy(update={"ended_at": stored.modified_at, "reason": reason})
        try:
            await self._store.threads.run(self._store.save, note)
            stored = await self._store.threads.run(self._store.mend, replace(stored, note=note))
            await self._store.threads.run(self._store.discard, note)
        except StorageFailed as error:
            _log.error("%s %s", error.details, error.suggestion, extra={"fields": {"recording": note.id}})
        durations_s = await self._store.threads.run(self._store.segment_durations_s, stored)
        camera = CameraId(note.camera)
        event = RecordingEvent(camera, note.id, RecordingState.STOPPED, sum(durations_s), reason)
        self._events.publish("recording.stop", event, camera=camera)
        return Stopped(
            replace(stored, note=note), note.ended_at or note.started_at, tuple(durations_s), reason
        )

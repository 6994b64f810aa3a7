"""Recordings as retention deletes them: one at a time, under the camera's lock, and never one that is in use."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from agent_core.base.errors import StorageFailed
from agent_core.base.locks import KeyedLock
from agent_core.base.models import CameraId
from agent_core.base.workers import WorkerPool
from agent_core.media.index import OldEntry
from agent_core.media.retention import Freed, MediaView
from agent_core.media.retention.limits import is_expired
from agent_core.recordings.active import Active
from agent_core.recordings.models import RecordingNote
from agent_core.recordings.store import RecordingStore

__all__ = ("RecordingStock", "UnderWay", "noted_at")

_log = logging.getLogger("camera_agent.retention")


def noted_at(note: RecordingNote) -> datetime:
    """Return the newest time in the note, from which a recording's age counts."""
    return max(note.started_at, note.ended_at or note.started_at)


class UnderWay(Protocol):
    """Part of `RecordingManager` that knows which recordings are under way."""

    @property
    def locks(self) -> KeyedLock: ...

    @property
    def under_way(self) -> tuple[Active, ...]: ...

    def active(self, camera: CameraId) -> Active | None: ...


class RecordingStock:
    """Stock of recordings. See `agent_core.media.retention.Stock`.

    Args:
        store: the recordings.
        recordings: tells which are under way or wait to continue.
        is_running: returns True while the recording of an id is downloaded.
    """

    kind = "recordings"

    def __init__(
        self, store: RecordingStore, recordings: UnderWay, is_running: Callable[[str], bool]
    ) -> None:
        self._store = store
        self._recordings = recordings
        self._is_running = is_running
        self._thread = WorkerPool(1)

    async def view(self, *, from_folders: bool) -> MediaView | None:
        indexed = self._store.media.indexed
        if indexed is not None:
            for active in self._recordings.under_way:  # they have grown since they were looked at
                indexed.tell(CameraId(active.note.camera), active.note.id)
        return await self._store.media.view(from_folders=from_folders)

    async def delete(self, entries: Sequence[OldEntry], *, older_than: datetime | None) -> Freed:
        await self._thread.run(self._store.media.check_writable)
        freed = Freed()
        for each in entries:
            async with self._recordings.locks.hold(each.camera):
                if not self._is_in_use(each):
                    freed += await self._thread.run(self._delete, each, older_than)
        return freed

    def _is_in_use(self, entry: OldEntry) -> bool:
        active = self._recordings.active(entry.camera)
        return (active is not None and active.note.id == entry.name) or self._is_running(entry.name)

    def _delete(self, entry: OldEntry, older_than: datetime | None) -> Freed:
        """Delete a recording that has ended; one without an end may continue. Looks at the disk, not at the entry."""
        try:
            stored = self._store.look_up(entry.camera, entry.file)
            if stored is None or stored.note.ended_at is None:
                return Freed()
            if older_than is not None and not is_expired(noted_at(stored.note), older_than):
                return Freed()
            self._store.delete(stored)
        except StorageFailed as error:
            return Freed.failure(entry, error)
        _log.debug("deleted the recording %s", entry.name)
        return Freed(1, stored.size_bytes)

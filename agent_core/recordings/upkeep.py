"""Upkeep of recordings on a disk that can vanish, be full or fail: their sizes, their folders and their notes."""

import logging

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.base.tasks import OwnedTasks
from agent_core.base.tenancy import IN_USE
from agent_core.mediamtx.schema import PathConf
from agent_core.recordings.active import Active
from agent_core.recordings.growth import Measured
from agent_core.recordings.models import RecordingNote, StoredRecording
from agent_core.recordings.store import FOLDER_MODE, RecordingStore
from agent_core.streams import CameraPaths

__all__ = ("Notes", "measure", "withhold")

_log = logging.getLogger("camera_agent.recordings")

#: Reasons of a disk in whose place nothing must be written, or of one that another agent uses.
_GONE = frozenset(("disk_missing", "disk_changed", IN_USE))
#: Pause between two attempts to save a note.
PAUSE_S = 5.0


def measure(store: RecordingStore, note: RecordingNote) -> tuple[StoredRecording, Measured]:
    """Return a recording under way as it is on disk, and its size. Blocks on the disk.

    Makes its folder again if it was deleted: the media server cannot write without it.

    Raises:
        StorageFailed, Unsupported: as `RecordingStore.require_place`, or the folder cannot be made or read.
    """
    store.require_place()
    _restore(store, note)
    stored = store.read(note)
    return stored, Measured(stored.size_bytes, sum(store.segment_durations_s(stored)))


def _restore(store: RecordingStore, note: RecordingNote) -> None:
    folder = store.written_folder(note)
    if folder.is_dir():
        return
    try:
        folder.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise explain_os_error(error, "make the recording's folder") from error
    store.save(note)


def _complete(store: RecordingStore, note: RecordingNote) -> None:
    """Save the end of a recording that was stopped while its disk failed, and repair its files, if it still exists."""
    store.require_place()
    if store.written_folder(note).is_dir():
        store.save(note)
        store.mend(store.read(note))


async def withhold(
    store: RecordingStore, paths: CameraPaths, active: Active, conf: PathConf, fault: AgentError | None
) -> None:
    """With a media server that makes missing folders itself, apply `conf` only while the disk is there."""
    is_gone = fault is not None and fault.reason in _GONE
    if store.is_guarded or is_gone is active.is_withheld:
        return
    try:
        await paths.set_recording(paths.camera(active.note.camera), None if is_gone else conf)
    except AgentError as error:  # the next look tries again
        _log.debug("%s", error.details)
    else:
        active.is_withheld = is_gone


class Notes:
    """Saves the notes of recordings; tries again, in `tasks`, to save the end of one until the disk takes it."""

    def __init__(self, store: RecordingStore, tasks: OwnedTasks, clock: Clock) -> None:
        self._store = store
        self._tasks = tasks
        self._clock = clock

    async def save(self, note: RecordingNote) -> None:
        """Save the note. A disk that fails must not make stopping fail: the media is on disk all the same.

        Without its end, the recording would be continued at the next start.
        """
        try:
            await self._store.threads.run(self._store.save, note)
        except StorageFailed as error:
            fields = {"camera": note.camera, "recording": note.id}
            _log.warning("cannot save the note of a recording: %s", error.details, extra={"fields": fields})
            if note.ended_at is not None:
                self._tasks.start_soon(self._save_later, note)

    async def _save_later(self, note: RecordingNote) -> None:
        while True:
            await self._clock.sleep(PAUSE_S)
            try:
                await self._store.threads.run(_complete, self._store, note)
            except AgentError:
                continue
            return

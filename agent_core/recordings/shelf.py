"""Folders of recordings below the root, as the index keeps them.

Apart from the store, so that the program that scans needs none.
"""

import logging
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from agent_core.base.errors import LaterState
from agent_core.base.models import CameraId
from agent_core.base.python_module import python_module
from agent_core.base.small_files import read_small
from agent_core.base.state_versions import refuse_later, version_of
from agent_core.media.index.entries import IndexEntry, limited_ns
from agent_core.recordings.models import RecordingNote
from agent_core.recordings.segments import media_files

__all__ = ("NOTE", "RECORDING_ID", "RecordingShelf")

_log = logging.getLogger("camera_agent.recordings")

#: The media server takes a file whose name starts like a segment's for a segment; this name does not.
NOTE = "recording.json"
#: Form of the ids that the store makes, the camera in a group. Other names are refused, so no name leads out of the folder.
RECORDING_ID = re.compile(
    r"(camera(?:0|[1-9][0-9]{0,8}))_[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}Z(?:-[1-9][0-9]{0,8})?",
    re.ASCII,
)
#: Room for the longest `RecordingNote.order`.
_NOTE_LIMIT_BYTES = 1 << 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class RecordingShelf:
    """Shelf of the recordings below `root`. Every method blocks on the disk.

    Args:
        root: the folder of recordings.
        check: raises StorageFailed while the disk is not there.
    """

    kind = "recordings"
    is_flat = False

    def __init__(self, root: Path, check: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self.check = check
        self._has_told_later = False

    @property
    def scanner(self) -> Sequence[str]:
        """Program that scans one camera, with its arguments; the camera's id is the last argument."""
        return python_module("agent_core.recordings.scan", os.fspath(self.root.absolute()))

    def note_in(self, folder: Path) -> RecordingNote | None:
        """Return the note in `folder`; None if it is not the folder of a recording, or of a later version of the agent."""
        try:
            if not (RECORDING_ID.fullmatch(folder.name) and stat.S_ISDIR(folder.lstat().st_mode)):
                return None
            content = read_small(folder / NOTE, limit_bytes=_NOTE_LIMIT_BYTES)
            note = RecordingNote.model_validate_json(content)
        except ValidationError:
            self._tell_later(folder.name, content)
            return None
        except OSError:
            return None
        return note if (note.camera, note.id) == (folder.parent.name, folder.name) else None

    def _tell_later(self, name: str, content: bytes) -> None:
        """Log, for the first one only, that a recording is of a later version of the agent."""
        try:
            refuse_later(f"{NOTE} of {name}", content, version_of(RecordingNote))
        except LaterState as later:
            if not self._has_told_later:
                _log.warning(
                    "%s Such recordings are not listed, and not deleted. %s", later.details, later.suggestion
                )
            self._has_told_later = True

    def files(self, camera: CameraId) -> Iterator[str]:
        """Yield the names of the folders that may be recordings. Raises OSError."""
        with os.scandir(self.root / camera) as entries:
            yield from (each.name for each in entries if RECORDING_ID.fullmatch(each.name))

    def look(self, camera: CameraId, file: str) -> IndexEntry | None:
        """Return the entry as it is now; None unless it is a folder. Raises OSError if the disk fails.

        A folder without a note is not listed, and open: it may be a copy that is not complete.
        """
        folder = self.root / camera / file
        try:
            status = folder.lstat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return None
        if not (RECORDING_ID.fullmatch(file) and stat.S_ISDIR(status.st_mode)):
            return None
        note, changed_ns = self.note_in(folder), limited_ns(status.st_mtime_ns)
        if note is None:
            return IndexEntry(file, file, 0, 0, changed_ns, is_listed=False, is_open=True)
        size_bytes = sum(each.size_bytes for each in media_files(folder))
        return IndexEntry(
            file, note.id, _posix_ns(note.started_at), size_bytes, changed_ns, is_open=note.ended_at is None
        )


def _posix_ns(moment: datetime) -> int:
    return limited_ns((moment - _EPOCH) // timedelta(microseconds=1) * 1000)

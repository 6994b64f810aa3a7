"""Rounds over the entries of one shelf, in slices, for what inotify cannot see.

Apart from the shelf, which decides when a round may go on.
"""

import os
from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from agent_core.base.models import CameraId
from agent_core.media.index.database import IndexDatabase, SweptEntry
from agent_core.media.index.entries import Shelf, limited_ns
from agent_core.media.index.notices import WatchedFolders

__all__ = ("SLICE", "Round", "stale")

#: Entries whose times are looked at in one slice: some milliseconds.
SLICE = 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Round:
    """Progress of the rounds over a shelf's entries; an interrupted round goes on where it was.

    Each round looks at all entries, with one exception: where everything is in watched folders, and a whole round has
    passed since the watches began, inotify tells of all changes, and only the entries that are open are looked at.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        #: Last entry that was looked at.
        self._to: tuple[str, str] = ("", "")
        self._began_with = WatchedFolders()
        self._covered: WatchedFolders | None = None
        self._only_open = False

    def begin(self, folders: WatchedFolders) -> None:
        """Begin a round, or go on with the interrupted one. `folders` are the folders as they are watched now."""
        is_covered = self._shelf.is_flat and folders.are_watched and folders == self._covered
        if self._to == ("", "") or is_covered is not self._only_open:
            self._to, self._began_with, self._only_open = ("", ""), folders, is_covered

    def next(self, database: IndexDatabase) -> list[SweptEntry]:
        """Return the next slice. Raises sqlite3.Error."""
        return database.swept(self._shelf.kind, after=self._to, limit=SLICE, only_open=self._only_open)

    def passed(self, entries: Sequence[SweptEntry], folders: WatchedFolders) -> bool:
        """Take note that a slice was looked at; return True if it was the last one of the round."""
        is_last = len(entries) < SLICE
        self._to = ("", "") if is_last else entries[-1][:2]
        if is_last and not self._only_open:
            self._covered = folders if folders == self._began_with else None
        return is_last


def stale(root: Path, entries: Sequence[SweptEntry]) -> list[tuple[CameraId, str]]:
    """Return the entries whose files or folders have changed, and those that are open. Blocks on the disk.

    Two microseconds per entry: a look by the whole path, made of `Path`s, takes four times as long.
    """
    found: list[tuple[CameraId, str]] = []
    for camera, group in groupby(entries, key=itemgetter(0)):
        folder = _folder(root / camera)
        try:
            found += [
                (camera, file)
                for _, file, known_ns, is_open in group
                if is_open or _changed_ns(folder, file) != known_ns
            ]
        finally:
            if folder is not None:
                os.close(folder)
    return found


def _folder(path: Path) -> int | None:
    try:
        return os.open(path, _DIRECTORY)
    except OSError:
        return None


def _changed_ns(folder: int | None, file: str) -> int | None:
    if folder is None:
        return None
    try:
        return limited_ns(os.stat(file, dir_fd=folder, follow_symlinks=False).st_mtime_ns)
    except (OSError, ValueError):
        return None

"""Entries of the media folders: listable names, and times of modification."""

import logging
import os
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from agent_core.base.models import CAMERA_ID, CameraId

__all__ = ("ListableNames", "camera_folders", "is_listable", "modified_at")

_log = logging.getLogger("camera_agent.storage")

#: Controls, lone surrogates (how Python shows bytes that are not UTF-8), and separators of lines and paragraphs.
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: A file system may have later times than a `datetime`; such a time is wrong anyway.
_LATEST_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def is_listable(name: str) -> bool:
    """Return True if `name` is UTF-8 without control characters, not hidden, and stays in its folder."""
    if not name or name.startswith(".") or "/" in name:
        return False
    return name.isprintable() or not any(unicodedata.category(char) in _UNFIT for char in name)


class ListableNames:
    """Filter for the names of a folder: lists those with which a client can request the file.

    Logs once that a name was left out.
    """

    def __init__(self) -> None:
        self._has_told = False

    def fits(self, name: str) -> bool:
        if is_listable(name):
            return True
        if not self._has_told and not name.startswith("."):
            self._has_told = True
            _log.warning(
                "%s and similar files are not listed: the name is not UTF-8 or has control characters; "
                "rename the file to list it",
                ascii(name),
            )
        return False


def camera_folders(root: Path, camera: CameraId | None = None) -> Iterator["os.DirEntry[str]"]:
    """Yield the folders of all cameras below `root`, or of one; no links, as downloads follow none. Raises OSError."""
    with os.scandir(root) as entries:
        for entry in entries:
            is_wanted = CAMERA_ID.fullmatch(entry.name) and camera in {None, entry.name}
            if is_wanted and entry.is_dir(follow_symlinks=False):
                yield entry


def modified_at(status: os.stat_result) -> datetime:
    """Return the time of the last modification, limited to the years 1970 to 9999."""
    return datetime.fromtimestamp(min(max(status.st_mtime, 0.0), _LATEST_S), UTC)

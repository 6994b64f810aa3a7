"""Entries of the media folders: which names can be listed, and when a file was changed."""

import logging
import os
import unicodedata
from datetime import UTC, datetime

__all__ = ("ListableNames", "is_listable", "modified_at")

_log = logging.getLogger("camera_agent.storage")

#: Controls, lone surrogates (how Python shows bytes that are not UTF-8), and separators of lines and paragraphs.
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
#: A file system may have times that a `datetime` has not; one that far ahead is wrong anyhow.
_LATEST_S = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def is_listable(name: str) -> bool:
    """Return whether `name` is UTF-8 without control characters, is not hidden, and stays in its folder."""
    if not name or name.startswith(".") or "/" in name:
        return False
    return name.isprintable() or not any(unicodedata.category(char) in _UNFIT for char in name)


class ListableNames:
    """Decides which names of a folder are listed: those by which a client can ask for the file again.

    Says once that a name was left out.
    """

    def __init__(self) -> None:
        self._has_told = False

    def fits(self, name: str) -> bool:
        if is_listable(name):
            return True
        if not self._has_told and not name.startswith("."):
            self._has_told = True
            _log.warning(
                "%s is not listed, nor are others like it: the name is not UTF-8 or has control characters; "
                "rename the file to have it listed",
                ascii(name),
            )
        return False


def modified_at(status: os.stat_result) -> datetime:
    """Return when the file was last changed, moved into the years 1970 to 9999."""
    return datetime.fromtimestamp(min(max(status.st_mtime, 0.0), _LATEST_S), UTC)

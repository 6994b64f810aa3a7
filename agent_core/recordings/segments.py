"""Segments: the media files in a recording's folder."""

import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.media.entries import is_listable, modified_at

__all__ = ("Segment", "SegmentLengths", "listed", "mend_closed", "segments")

_log = logging.getLogger("camera_agent.recordings")

_SUFFIXES = (".mp4", ".ts")


@dataclass(frozen=True, slots=True)
class Segment:
    name: str
    path: Path
    size_bytes: int
    modified_at: datetime


def segments(folder: Path, *, empty: bool = False) -> Iterator[Segment]:
    """Yield the segments that are not empty, or only the `empty` ones, oldest first.

    A media server leaves empty files on a full disk. A folder or file removed meanwhile counts as absent.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.suffix in _SUFFIXES and is_listable(entry.name):
            with suppress(FileNotFoundError):
                status = entry.lstat()
                if stat.S_ISREG(status.st_mode) and (status.st_size > 0) is not empty:
                    yield Segment(entry.name, entry, status.st_size, modified_at(status))


def listed(folder: Path, *, empty: bool = False) -> tuple[Segment, ...]:
    """Return what `segments` yields.

    Raises:
        StorageFailed: the folder cannot be read.
    """
    try:
        return tuple(segments(folder, empty=empty))
    except OSError as error:
        raise explain_os_error(error, "read a recording") from error


def mend_closed(found: Sequence[Segment]) -> int:
    """Repair closed files that a full disk truncated; return the number of bytes cut off. Blocks on the disk.

    A file is closed if its header says so or a newer file exists. A file without write permission stays as it is.
    """
    from agent_core.media.fmp4 import is_finished

    files = [each.path for each in found if each.path.suffix == ".mp4"]
    closed = [path for path in files if path != files[-1] or is_finished(path)]
    return sum(map(_mended, closed))


def _mended(path: Path) -> int:
    from agent_core.media.repair import mend

    try:
        cut_bytes = mend(path)
    except StorageFailed as error:
        _log.warning("%s is not repaired and may not play: %s", path.name, error.details)
        return 0
    if cut_bytes:
        _log.info("%s: cut off %d bytes of an incomplete fragment at its end", path.name, cut_bytes)
    return cut_bytes


#: Number of cached durations; a larger number empties the cache.
_KEPT = 10_000


class SegmentLengths:
    """Cache of the durations of segments. Blocks on the disk."""

    def __init__(self) -> None:
        #: Size (bytes) and duration (s) by path; a str takes a fifth of the memory of a Path.
        self._known: dict[str, tuple[int, float]] = {}

    def duration_s(self, path: Path, size_bytes: int) -> float:
        """Return the seconds of media, 0 for a damaged file. A changed size causes a new read."""
        name = os.fspath(path)
        known = self._known.get(name)
        if known is not None and known[0] == size_bytes:
            return known[1]
        try:
            duration_s = _read_duration_s(path)
        except StorageFailed:
            return 0.0
        if len(self._known) >= _KEPT:
            self._known.clear()
        self._known[name] = (size_bytes, duration_s)
        return duration_s


def _read_duration_s(path: Path) -> float:
    from agent_core.media import fmp4, mpegts

    return mpegts.segment_duration_s(path) if path.suffix == ".ts" else fmp4.segment_duration_s(path)

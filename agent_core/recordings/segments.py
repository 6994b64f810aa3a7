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
from agent_core.media.entries import is_listable, modified_at

__all__ = ("MediaTimes", "Segment", "SegmentLengths", "media_files", "mend_closed")

_log = logging.getLogger("camera_agent.recordings")

_SUFFIXES = (".mp4", ".ts")


@dataclass(frozen=True, slots=True)
class Segment:
    """Media file of a recording."""

    name: str
    path: Path
    size_bytes: int
    modified_at: datetime


def media_files(folder: Path) -> Iterator[Segment]:
    """Yield the media files, also empty ones, in no order.

    A media server leaves empty files on a full disk. A folder or file removed meanwhile counts as absent.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        if entry.suffix in _SUFFIXES and is_listable(entry.name):
            with suppress(FileNotFoundError):
                status = entry.lstat()
                if stat.S_ISREG(status.st_mode):
                    yield Segment(entry.name, entry, status.st_size, modified_at(status))


def mend_closed(found: Sequence[Segment], *, is_disk_full: bool = False) -> int:
    """Repair closed files, oldest first, that a full disk truncated; return the number of bytes cut off.

    A file is closed if its header says so or a newer file exists. An MPEG transport stream has no such header: the
    newest one counts as closed on a full disk. A file without write permission stays as it is. Blocks on the disk.
    """
    from agent_core.media.fmp4 import is_finished

    def is_closed(path: Path) -> bool:
        return is_disk_full if path.suffix == ".ts" else is_finished(path)

    paths = [each.path for each in found]
    return sum(_mended(path) for path in paths if path != paths[-1] or is_closed(path))


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


@dataclass(frozen=True, slots=True)
class MediaTimes:
    """Times in a media file: seconds of media, and the POSIX time of the first picture if the file has it."""

    duration_s: float = 0.0
    started_s: float | None = None


#: Entries that a cache of the agent keeps.
_MOST = 10_000


class SegmentLengths:
    """Cache of the times in up to `most` segments; one more empties it. Blocks on the disk."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        #: Size (bytes) and times by path; a str takes a fifth of the memory of a Path.
        self._known: dict[str, tuple[int, MediaTimes]] = {}

    def duration_s(self, segment: Segment) -> float:
        """Return the seconds of media, 0 for a damaged file. A changed size causes a new read."""
        return self.times(segment).duration_s

    def times(self, segment: Segment) -> MediaTimes:
        """Return the times in the file, without media for a damaged one."""
        name = os.fspath(segment.path)
        known = self._known.get(name)
        if known is not None and known[0] == segment.size_bytes:
            return known[1]
        try:
            times = _read_times(segment.path)
        except StorageFailed:
            return MediaTimes()
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[name] = (segment.size_bytes, times)
        return times


def _read_times(path: Path) -> MediaTimes:
    from agent_core.media import fmp4, mpegts

    if path.suffix == ".ts":
        return MediaTimes(mpegts.segment_duration_s(path))
    info = fmp4.Fmp4Reader(path).update()
    return MediaTimes(info.duration_s, info.started_at.timestamp() if info.started_at else None)

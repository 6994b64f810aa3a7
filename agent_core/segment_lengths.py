"""How long the segments of recordings are, read again only where a file has changed."""

import os
from pathlib import Path

from agent_core.base.errors import StorageFailed

__all__ = ("SegmentLengths",)

#: Files that are remembered; more, and all are read again.
_KEPT = 10_000


class SegmentLengths:
    """Blocks on the disk."""

    def __init__(self) -> None:
        #: By path as text, a fifth of what a Path takes.
        self._known: dict[str, tuple[int, float]] = {}

    def duration_s(self, path: Path, size_bytes: int) -> float:
        """Seconds of media, 0 for a damaged file. It is read again when its size is another one."""
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

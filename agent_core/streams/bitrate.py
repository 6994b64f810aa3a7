"""Bit rate of a path, from the byte counters that successive reads of the path show.

Apart from `camera_paths`, so that the arithmetic is tested without a media server.
"""

from collections import deque

from agent_core.mediamtx.schema import RuntimePath

__all__ = ("BitrateMeter",)

#: The average starts at the latest read that is at least this old, or else at the first read.
WINDOW_S = 5.0
#: Shortest period: in a shorter one, a single large picture would decide the rate.
SHORTEST_S = 1.0
#: Reads that follow each other faster than this are ignored.
_APART_S = 0.25


class BitrateMeter:
    """Measures the bit rate that a path gets from its source; receives every read of the path."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._last: RuntimePath | None = None
        self._bits_per_s: float | None = None

    @property
    def bits_per_s(self) -> float | None:
        """Bit rate at the last read; None if the stream was not live, or not yet live for long enough."""
        return self._bits_per_s

    def saw(self, now_s: float, path: RuntimePath | None) -> None:
        """Add a read of the path; start again if it shows another stream, or none."""
        last, self._last = self._last, path
        if path is None or not path.live or not _is_same(last, path):
            self._seen.clear()
            self._bits_per_s = None
        if path is None or not path.live:
            return
        if not self._seen or now_s - self._seen[-1][0] >= _APART_S:
            self._add(now_s, path.inbound_bytes)

    def _add(self, now_s: float, inbound_bytes: int) -> None:
        self._seen.append((now_s, inbound_bytes))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        from_s, from_bytes = self._seen[0]
        if now_s - from_s >= SHORTEST_S:
            self._bits_per_s = 8 * (inbound_bytes - from_bytes) / (now_s - from_s)


def _is_same(last: RuntimePath | None, path: RuntimePath) -> bool:
    """Return True if `path` shows the stream of the last read; the counter of another stream starts at 0."""
    return (
        last is not None and last.live_since == path.live_since and last.inbound_bytes <= path.inbound_bytes
    )

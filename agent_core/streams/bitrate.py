"""Bit rate of a path, from the byte counters that successive reads of the path show.

Apart from `camera_paths`, so that the arithmetic is tested without a media server.
"""

from collections import deque

from agent_core.mediamtx.schema import RuntimePath

__all__ = ("BitrateMeter",)

#: The average is over so long, or from the look before on where that is longer ago.
WINDOW_S = 5.0
#: Over less than this a single large picture would be the whole rate.
SHORTEST_S = 1.0
#: Looks that come faster than this add nothing.
_APART_S = 0.25


class BitrateMeter:
    """Meter of the bit rate that a path gets from its source; it is told of every look at the path."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._last: RuntimePath | None = None
        self._bits_per_s: float | None = None

    @property
    def bits_per_s(self) -> float | None:
        """As of the last look; None where the stream was not live then or not yet seen for long enough."""
        return self._bits_per_s

    def saw(self, now_s: float, path: RuntimePath | None) -> None:
        """Take in a look; a stream that is another one, or none, begins anew."""
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
    """Return True if it is the stream of the last look; counters of another one begin with 0."""
    return (
        last is not None and last.live_since == path.live_since and last.inbound_bytes <= path.inbound_bytes
    )

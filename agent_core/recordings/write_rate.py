"""Rate at which recordings are written, from their sizes on disk; no I/O and no clock of its own.

Apart from `storage`, so that the arithmetic is tested without disks.
"""

from collections import deque
from collections.abc import Mapping

__all__ = ("WriteRate",)

#: The rate of a recording is its average over this time, and known after the shortest one.
WINDOW_S, SHORTEST_S = 120.0, 10.0
#: Fewer hours are told as less than this: 0.0 looks like no number at all.
SHORTEST_SAID_HOURS = 0.1


class WriteRate:
    """Measures the bytes per second of all recordings under way."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, int]]] = {}

    def saw(self, now_s: float, sizes_bytes: Mapping[str, int]) -> None:
        """Add a look at the sizes (bytes) of all recordings under way, by id; `now_s` is monotonic."""
        self._seen = {name: self._seen.get(name) or deque() for name in sizes_bytes}
        for name, size_bytes in sizes_bytes.items():
            looks = self._seen[name]
            if looks and size_bytes < looks[-1][1]:  # an old segment was deleted
                looks.clear()
            looks.append((now_s, size_bytes))
            while len(looks) > 2 and now_s - looks[1][0] >= WINDOW_S:
                looks.popleft()

    @property
    def bytes_per_s(self) -> float | None:
        """Sum of the known rates; None while none is known, or nothing is written."""
        rates = [_rate(looks) for looks in self._seen.values()]
        return sum(each for each in rates if each is not None) or None

    def hours_left(self, free_bytes: int) -> float | None:
        """Return the hours until `free_bytes` are written at this rate; None while no rate is known."""
        rate = self.bytes_per_s
        return None if rate is None else free_bytes / rate / 3600

    def forecast(self, free_bytes: int) -> str:
        """Return `hours_left` as a sentence; empty while no rate is known."""
        hours = self.hours_left(free_bytes)
        if hours is None:
            return ""
        said = f"{hours:.1f}" if hours >= SHORTEST_SAID_HOURS else f"less than {SHORTEST_SAID_HOURS}"
        return f"At the present rate it is full in {said} hours."


def _rate(looks: deque[tuple[float, int]]) -> float | None:
    (from_s, from_bytes), (to_s, to_bytes) = looks[0], looks[-1]
    return (to_bytes - from_bytes) / (to_s - from_s) if to_s - from_s >= SHORTEST_S else None

"""Settling of a camera's exposure after its start, judged by the brightness of its pictures.

The decision does no I/O and is told the time; `measure` decodes a picture.
"""

import io
from collections import deque
from dataclasses import dataclass
from itertools import accumulate

from agent_core.base.models import SettledBy, Settlement

__all__ = ("Brightness", "ExposureSettling", "measure")

#: Longest wait (s) after the first picture, if enough pictures have come; cameras need 0.3 to 2 s. They adjust with each
#: picture, so at low rates (below 5 per second) the wait is longer, up to the second limit.
_LIMIT_S, _LIMIT_PICTURES, _LIMIT_AT_LOW_RATES_S = 3.0, 15, 6.0
#: Time (s) for which the brightness must be steady, and the fewest pictures in it. Automatic exposure aims at medium
#: brightness; a camera that has not begun to adjust shows steady pictures, too, but dim or overexposed ones.
_MEDIUM_S, _EXTREME_S, _LEAST_PICTURES = 0.3, 1.2, 3
_MEDIUM = range(60, 191)
#: Largest difference between the brightest and the darkest of steady pictures: levels, and a share of the level.
_STEADY_LEVELS, _STEADY_SHARE = 3.0, 0.04
#: Largest share by which the first pictures may differ from the last settled one, if the camera kept its exposure.
_KEPT_SHARE, _KEPT_PICTURES = 0.06, 2
#: Luma that 99 of 100 pixels of a black picture do not reach, and that as many of a white one exceed.
_BLACK, _WHITE = 48, 225
#: Denominator of the size at which libjpeg decodes: one pixel of each block.
_SCALE = 8


@dataclass(frozen=True, slots=True)
class Brightness:
    """Luma of a picture, 0 to 255: its mean, and the levels between which 98 of 100 pixels are."""

    mean: float
    low: int
    high: int

    @property
    def is_blank(self) -> bool:
        """True for an almost black or almost white picture."""
        return self.high < _BLACK or self.low > _WHITE


def measure(data: bytes) -> Brightness | None:
    """Return the brightness of a JPEG, or None if it cannot be decoded; call in a worker thread.

    Decoding at an eighth of the size takes 0.5 ms for 640x480 and 4 ms for 1920x1080 on a desktop computer.
    """
    from PIL import Image  # not before a camera is used: it takes time and memory

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as picture:
            picture.draft("L", (max(picture.width // _SCALE, 1), max(picture.height // _SCALE, 1)))
            counts = picture.convert("L").histogram()
    except (OSError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None
    return _brightness(counts)


def _brightness(counts: list[int]) -> Brightness:
    total = sum(counts)
    sums = list(accumulate(counts))
    low = next(level for level, below in enumerate(sums) if below * 100 >= total)
    high = next(level for level, below in enumerate(sums) if below * 100 >= 99 * total)
    return Brightness(sum(level * count for level, count in enumerate(counts)) / total, low, high)


class ExposureSettling:
    """Decision when the exposure of a camera has settled, anew after each start of its stream.

    Without `fixed_s`, it has settled when the brightness is steady and the pictures are not blank; or when the first
    pictures are as bright as the last stream was when it had settled, because many cameras keep their exposure. In any
    case it counts as settled 3 s after the first picture, or up to 6 s at low rates: a dark room stays dark.

    Args:
        fixed_s: time in seconds after the first picture, instead of the brightness; 0: settled from the beginning.
    """

    def __init__(self, fixed_s: float | None = None) -> None:
        self._fixed_s = fixed_s
        self._kept_mean: float | None = None
        self.start()

    def start(self, *, is_manual: bool = False) -> None:
        """Begin anew, with the start of a stream.

        Args:
            is_manual: the exposure time is fixed, so steady pictures are right however dim they are.
        """
        self._is_manual = is_manual
        self._first_s: float | None = None
        self._pictures = 0
        self._seen: deque[tuple[float, Brightness]] = deque()
        self._settlement: Settlement | None = None

    @property
    def is_settled(self) -> bool:
        return self._settlement is not None or self._fixed_s == 0

    @property
    def settlement(self) -> Settlement | None:
        """Reason and time of the exposure's settling; None before, and if there is no waiting."""
        return self._settlement

    @property
    def needs_brightness(self) -> bool:
        """True while `note` needs the brightness of pictures."""
        return self._fixed_s is None and self._settlement is None

    def note(self, now_s: float, brightness: Brightness | None = None) -> None:
        """Take note of a picture.

        Args:
            now_s: monotonic time of its arrival.
            brightness: its brightness, if it was measured.
        """
        if self.is_settled:
            return
        if self._first_s is None:
            self._first_s = now_s
        self._pictures += 1
        by = self._judged(now_s, brightness)
        if by is not None:
            self._settlement = Settlement(by, now_s - self._first_s)

    def _judged(self, now_s: float, brightness: Brightness | None) -> SettledBy | None:
        after_s = now_s - (self._first_s or 0.0)
        if self._fixed_s is not None:
            return SettledBy.TIME if after_s >= self._fixed_s else None
        if brightness is not None:
            self._seen.append((now_s, brightness))
            if self._is_kept() or self._is_steady(now_s):
                self._kept_mean = brightness.mean
                return SettledBy.BRIGHTNESS
        limit_s = _LIMIT_S if self._pictures >= _LIMIT_PICTURES else _LIMIT_AT_LOW_RATES_S
        return SettledBy.LIMIT if after_s >= limit_s else None

    def _is_kept(self) -> bool:
        """Return True if all pictures so far are as bright as the last settled one."""
        kept = self._kept_mean
        return (
            kept is not None
            and len(self._seen) >= _KEPT_PICTURES
            and all(abs(each.mean - kept) <= _KEPT_SHARE * kept for _, each in self._seen)
        )

    def _is_steady(self, now_s: float) -> bool:
        newest = self._seen[-1][1]
        if newest.is_blank:
            self._seen.clear()
            return False
        window_s = _MEDIUM_S if self._is_manual or int(newest.mean) in _MEDIUM else _EXTREME_S
        for count, (at_s, each) in enumerate(reversed(self._seen), 1):
            if abs(each.mean - newest.mean) > max(_STEADY_LEVELS, _STEADY_SHARE * newest.mean):
                return False
            if now_s - at_s >= window_s and count >= _LEAST_PICTURES:
                return True
        return False

"""Ring of the newest JPEGs, each of which stands alone.

Apart from `broker`, so that its life cycle knows no format.
"""

from collections import deque

from agent_core.base.models import Frame
from agent_core.plugin import jpeg
from agent_core.plugin.frames.store import Added, Stamp

__all__ = ("JpegRing",)


class JpegRing:
    """Store of the newest `size` JPEGs; see `FrameStore`. JPEGs that are not whole are repaired or refused."""

    def __init__(self, size: int) -> None:
        self._frames: deque[Frame] = deque(maxlen=size)
        self.sequence = 0

    @property
    def newest(self) -> Frame | None:
        return self._frames[-1] if self._frames else None

    @property
    def can_begin(self) -> bool:
        return bool(self._frames)

    @property
    def wants_key_frame(self) -> bool:
        return False

    def add(self, data: bytes | jpeg.WholeJpeg, stamp: Stamp) -> Added:
        try:
            picture = jpeg.mend(data) if isinstance(data, bytes) else data
        except jpeg.JpegError:
            return Added(damaged="damaged")
        self.sequence += 1
        when = stamp.captured_s, stamp.source
        size = picture.width, picture.height
        self._frames.append(Frame(picture.data, self.sequence, *when, *size, stamp.settled, stamp.settlement))
        return Added(frames=1, repairs=tuple(picture.repairs))

    def gap(self) -> None:
        """Forget nothing: a JPEG does not depend on others."""

    def restart(self) -> None:
        """Forget nothing, either."""

    def beginning(self, not_before_s: float) -> tuple[Frame, ...]:
        newest = self.newest
        return (newest,) if newest is not None and newest.captured_s >= not_before_s else ()

    def following(self, sequence: int) -> Frame | None:
        newest = self.newest
        return newest if newest is not None and newest.sequence > sequence else None

"""Store behind a broker: what it does with a producer's buffers, and which frames its readers get."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from agent_core.base.models import CapturedAtSource, Frame, Settlement
from agent_core.plugin.jpeg import WholeJpeg

__all__ = ("Added", "FrameStore", "Stamp")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Time and state that a producer tells with a buffer; the fields are those of `Frame`."""

    captured_s: float
    source: CapturedAtSource
    settled: bool = True
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """Outcome of one buffer.

    Attributes:
        frames: number of frames that it completed.
        unused: good pictures that are not used, by reason.
        damaged: reason for which it is of no use; empty if it is not damaged.
        repairs: repairs of its frames.
    """

    frames: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)
    damaged: str = ""
    repairs: tuple[str, ...] = ()


class FrameStore(Protocol):
    """Newest frames of a camera. The broker owns it and numbers no frames itself."""

    @property
    def sequence(self) -> int:
        """Number of the newest frame; 0 before the first."""
        ...

    @property
    def newest(self) -> Frame | None:
        """Newest frame that is kept, however old."""
        ...

    @property
    def can_begin(self) -> bool:
        """True if a reader that comes now has something to begin with."""
        ...

    @property
    def wants_key_frame(self) -> bool:
        """True if a reader that comes now would have to wait, or to decode much, for want of a recent key frame."""
        ...

    def add(self, data: bytes | WholeJpeg, stamp: Stamp) -> Added:
        """Take one buffer of the producer."""
        ...

    def gap(self) -> None:
        """Forget what the next buffer does not continue."""
        ...

    def restart(self) -> None:
        """Note a gap after which the producer may fill its buffers otherwise: a stream begins."""
        ...

    def beginning(self, not_before_s: float) -> tuple[Frame, ...]:
        """Return the frames with which a stream begins now; empty if a reader has to wait.

        Frames that stand alone are exposed at or after `not_before_s` (monotonic).
        """
        ...

    def following(self, sequence: int) -> Frame | None:
        """Return the frame with which a stream continues after frame `sequence`; None if a reader has to wait."""
        ...

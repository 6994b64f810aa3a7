"""Picture that FFmpeg has drawn, with its time. Apart from the readers of containers, so that neither knows the other."""

from dataclasses import dataclass

__all__ = ("DamagedOutput", "TimedPicture")


class DamagedOutput(ValueError):
    """Error for data that is not of the container. The message names the fault."""


@dataclass(frozen=True, slots=True)
class TimedPicture:
    """One picture with its time in milliseconds, modulo 2^32: a JPEG, or coded video with start codes."""

    time_ms: int
    data: bytes

"""What a frame broker runs: the producer that owns a device, and the sink it delivers to."""

from abc import ABC, abstractmethod
from typing import Protocol

from agent_core.base.errors import AgentError, CaptureFailed, DependencyFailed

__all__ = ("FrameProducer", "FrameSink", "as_capture_failed")


class FrameSink(Protocol):
    """Where a producer delivers."""

    def offer(self, data: bytes, *, captured_s: float | None = None, settled: bool = True) -> None:
        """One JPEG frame. `captured_s` is its exposure on the monotonic clock, where the source knows it.

        `settled` is False while a camera that was just started still adjusts its exposure: streams show such frames,
        stills wait for the others.

        A frame that is not a whole JPEG is dropped and counted.
        """
        ...

    def drop(self, reason: str) -> None:
        """Count a frame that the device itself flagged as bad."""
        ...

    def skip(self, reason: str, count: int = 1) -> None:
        """Count frames that were not bad and yet not used: a newer one was there, the driver lost them."""
        ...


class FrameProducer(ABC):
    """The one owner of a device. The broker calls these one at a time, never concurrently."""

    async def park(self) -> None:  # noqa: B027 - optional to implement
        """Prepare what is slow to prepare and cheap to keep; called before each `stream`, prepared already or not.

        Cancelled when it takes longer than the first frame may; `close` follows then.

        Raises:
            CaptureFailed: the device cannot be prepared.
        """

    @abstractmethod
    async def stream(self, sink: FrameSink) -> None:
        """Deliver frames until cancelled; leave the device parked.

        Raises:
            CaptureFailed: the device failed; returning counts as failure too.
        """

    async def close(self) -> None:  # noqa: B027 - optional to implement
        """Undo `park`, also half of it; called after a failure, after a long rest and at the end."""


def as_capture_failed(error: AgentError) -> CaptureFailed:
    """The same under the name that readers expect."""
    if isinstance(error, CaptureFailed):
        return error
    foreign = error if isinstance(error, DependencyFailed) else None
    return CaptureFailed(
        error.details,
        reason=error.reason,
        suggestion=error.suggestion,
        dependency=foreign.dependency if foreign else None,
        detail=foreign.detail if foreign else "",
    )

"""The producer that owns a device, and the sink that it delivers frames to."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent_core.base.errors import AgentError, CaptureFailed, DependencyFailed

__all__ = ("BrokerSettings", "BrokerState", "BrokerStats", "FrameProducer", "FrameSink", "as_capture_failed")


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


class BrokerState(StrEnum):
    COLD = "cold"
    PARKED = "parked"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How long a broker keeps, waits and gives up.

    `stall_s`: no good frame for so long while streaming means that the producer hangs; `first_frame_s` is the same
    from its start. A parked producer is closed after `parked_ttl_s`. After a failure it is left alone for
    `backoff_s`, doubled with each further failure up to `backoff_limit_s`. `pipeline_latency_s` is what is taken off
    the arrival time of frames that come without a capture time.
    """

    ring_frames: int = 4
    warm_ttl_s: float = 10.0
    parked_ttl_s: float = 60.0
    stall_s: float = 4.0
    first_frame_s: float = 10.0
    pipeline_latency_s: float = 0.2
    backoff_s: float = 0.25
    backoff_limit_s: float = 8.0


@dataclass(frozen=True, slots=True)
class BrokerStats:
    """Counts since the agent started; `dropped` by the reason why a frame was not used."""

    frames: int
    starts: int
    stalls: int
    failures: int
    dropped: tuple[tuple[str, int], ...]

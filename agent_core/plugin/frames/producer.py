"""Producer that owns a device, the sink that it delivers frames to, and the broker's settings and counters."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from agent_core.base.errors import AgentError, CaptureFailed, DependencyFailed
from agent_core.base.models import Settlement
from agent_core.plugin.jpeg import WholeJpeg

__all__ = ("BrokerSettings", "BrokerState", "BrokerStats", "FrameProducer", "FrameSink", "as_capture_failed")


class FrameSink(Protocol):
    """Receiver of a producer's frames."""

    def offer(
        self,
        data: bytes | WholeJpeg,
        *,
        captured_s: float | None = None,
        settled: bool = True,
        settlement: Settlement | None = None,
        arrived_s: float | None = None,
    ) -> None:
        """Deliver one JPEG frame, or the next piece of coded video. A frame without a whole picture is dropped and counted.

        Args:
            data: the frame, repaired by `agent_core.plugin.jpeg.mend` here or by the producer; or, of coded video, one
                access unit with start codes (Annex B). Buffers of cameras that contain several, a part of one or
                nothing but parameter sets are put together.
            captured_s: time of exposure on the monotonic clock, in seconds; None if the source does not know it.
            settled: False while a camera that was just started still adjusts its exposure. Streams show such frames;
                stills wait for settled ones.
            settlement: how the exposure settled; None before, and if the producer does not wait for it.
            arrived_s: time at which the producer received a frame that it has kept since, such as for an encoder; None if it
                offers the frame at once. It dates a frame without `captured_s`.
        """
        ...

    def drop(self, reason: str) -> None:
        """Count a frame that the device itself flagged as bad."""
        ...

    def skip(self, reason: str, count: int = 1) -> None:
        """Count good frames that were not used, such as frames lost in the driver or replaced by newer ones."""
        ...

    def gap(self) -> None:
        """Note that access units of coded video are missing or damaged here: the stream continues at the next key frame.

        Without effect on JPEGs, each of which stands alone. What is lost is counted by `drop` and `skip`, which leave the
        group of pictures whole: an encoder may give an empty buffer for a picture that it has skipped.
        """
        ...


class FrameProducer(ABC):
    """Sole owner of a device. The broker never calls its methods concurrently."""

    async def park(self) -> None:  # noqa: B027 - optional to implement
        """Prepare the device: do what is slow to do and cheap to keep.

        The broker calls this before each `stream`, even if the device is already prepared. If it takes longer than
        `first_frame_s`, the broker cancels it and calls `close`.

        Raises:
            CaptureFailed: the device cannot be prepared.
        """

    @abstractmethod
    async def stream(self, sink: FrameSink) -> None:
        """Deliver frames until cancelled, then leave the device parked. Returning counts as a failure.

        Raises:
            CaptureFailed: the device failed.
        """

    def key_frame_wanted(self) -> None:  # noqa: B027 - optional to implement
        """Have the camera send a key frame soon, if it delivers coded video and can; do not wait for it.

        The broker calls this during `stream`: when a client comes and the newest group of pictures is long; and, from
        within `FrameSink.offer`, when it finds damage that ends a group. A producer asks by itself after `FrameSink.gap`.
        """

    async def close(self) -> None:  # noqa: B027 - optional to implement
        """Undo `park`, complete or not. The broker calls this after a failure, after `parked_ttl_s` and at its end."""


def as_capture_failed(error: AgentError) -> CaptureFailed:
    """Return `error` as a CaptureFailed, the error that readers expect, with the same text and reason."""
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
    """State of a producer: closed, prepared without streaming, or streaming."""

    COLD = "cold"
    PARKED = "parked"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """Limits of a broker, all times in seconds.

    Attributes:
        ring_frames: number of recent frames to keep.
        warm_ttl_s: time that the producer keeps streaming after the last use.
        parked_ttl_s: time after which a parked producer is closed.
        stall_s: time without a good frame, while streaming, after which the producer counts as hung.
        first_frame_s: the same limit for the first frame after a start.
        pipeline_latency_s: subtracted from the arrival time of frames without a capture time.
        backoff_s: pause after a failure, doubled with each further failure.
        backoff_limit_s: longest pause after a failure.
        key_frame_s: time for which coded video may come without a key frame to begin with.
        groups_bytes: size of the coded pictures to keep. A longer group of pictures cannot be entered.
        awaits_first: a started producer runs on without use until its first frame or `first_frame_s`, so that one that
            hangs is told also if each use is shorter.
    """

    ring_frames: int = 4
    warm_ttl_s: float = 10.0
    parked_ttl_s: float = 60.0
    stall_s: float = 4.0
    first_frame_s: float = 10.0
    pipeline_latency_s: float = 0.2
    backoff_s: float = 0.25
    backoff_limit_s: float = 8.0
    key_frame_s: float = 20.0
    groups_bytes: int = 16 << 20
    awaits_first: bool = False

    def pause_s(self, failures: int) -> float:
        """Return the pause in seconds after the last of `failures` without a frame between them."""
        return min(self.backoff_s * 2.0 ** min(failures - 1, 16), self.backoff_limit_s)


@dataclass(frozen=True, slots=True)
class BrokerStats:
    """Counters since the broker was made: `dropped` counts unused frames by reason, `repaired` frames by repair."""

    frames: int
    starts: int
    stalls: int
    failures: int
    dropped: tuple[tuple[str, int], ...]
    repaired: tuple[tuple[str, int], ...] = ()

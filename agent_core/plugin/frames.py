"""One owner per camera device: the broker runs one producer on demand and hands its frames to everybody.

States: `cold` (nothing is open), `parked` (the producer is prepared, not streaming), `warm` (frames arrive). Demand is
a waiting reader, a connected frame-socket client, or a reader within the last `warm_ttl_s`.
"""

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.clock import Clock
from agent_core.errors import AgentError, CaptureFailed
from agent_core.models import CapturedAtSource, Frame
from agent_core.plugin import jpeg

__all__ = ("BrokerSettings", "BrokerState", "BrokerStats", "FrameBroker", "FrameProducer", "FrameSink")


class BrokerState(StrEnum):
    COLD = "cold"
    PARKED = "parked"
    WARM = "warm"


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """How long a broker keeps, waits and gives up.

    `stall_s`: no frame for so long while streaming means that the producer hangs. `pipeline_latency_s` is what is
    taken off the arrival time of frames that come without a capture time.
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
    """Counts since the agent started; `dropped` by the reason that the frame was not used."""

    frames: int
    starts: int
    stalls: int
    failures: int
    dropped: tuple[tuple[str, int], ...]


class FrameSink(Protocol):
    """Where a producer delivers."""

    def offer(self, data: bytes, *, captured_s: float | None = None) -> None:
        """One JPEG frame. `captured_s` is its exposure on the monotonic clock, where the source knows it.

        A frame that is not a whole JPEG is dropped and counted.
        """
        ...

    def drop(self, reason: str) -> None:
        """Count a frame that the device itself flagged as bad."""
        ...


class FrameProducer(ABC):
    """The one owner of a device. The broker calls these one at a time, never concurrently."""

    async def park(self) -> None:  # noqa: B027 - optional to implement
        """Prepare what is slow to prepare and cheap to keep; called before `stream`, again after a failure."""

    @abstractmethod
    async def stream(self, sink: FrameSink) -> None:
        """Deliver frames until cancelled; leave the device parked.

        Raises:
            CaptureFailed: the device failed; returning counts as failure too.
        """

    async def close(self) -> None:  # noqa: B027 - optional to implement
        """Undo `park`; also called after a failure and at the end."""


class FrameBroker:
    """Frames of one camera, produced while somebody wants them.

    The owner (a camera source) runs `run` in its task group; everything else may be called from any task of the same
    event loop.
    """

    def __init__(self, producer: FrameProducer, *, clock: Clock, settings: BrokerSettings) -> None:
        self._producer = producer
        self._clock = clock
        self._settings = settings
        self._ring: deque[Frame] = deque(maxlen=settings.ring_frames)
        self._changed = anyio.Event()
        self._wanted = anyio.Event()
        self._users = 0
        self._last_use_s = float("-inf")
        self._last_frame_s = float("-inf")
        self._sequence = 0
        self._starts = self._stalls = self._failures = 0
        self._consecutive_failures = 0
        self._dropped: Counter[str] = Counter()
        self._problem: CaptureFailed | None = None
        self._state = BrokerState.COLD
        self._backing_off = False
        self._closed = False

    @property
    def state(self) -> BrokerState:
        return self._state

    @property
    def problem(self) -> CaptureFailed | None:
        """Why the producer does not run, until frames arrive again."""
        return self._problem

    @property
    def stats(self) -> BrokerStats:
        return BrokerStats(
            self._sequence, self._starts, self._stalls, self._failures, tuple(sorted(self._dropped.items()))
        )

    def latest(self) -> Frame | None:
        """The newest frame of the ring, of whatever age; None before the first."""
        return self._ring[-1] if self._ring else None

    async def fresh(self, not_before_s: float) -> Frame:
        """The newest frame exposed at or after `not_before_s`; starts the producer and waits where need be.

        Raises:
            CaptureFailed: the producer failed while this call waited or a moment before, or the broker has ended.
        """
        with self.demand():
            failures = self._failures
            while True:
                frame = self.latest()
                if frame is not None and frame.captured_s >= not_before_s:
                    return frame
                if self._backing_off and self._problem is not None:
                    raise self._problem
                await self._wait_for_change(failures)

    async def after(self, sequence: int) -> Frame:
        """The newest frame with a higher number than `sequence`; waits for one, through failures of the producer.

        Raises:
            CaptureFailed: the broker has ended.
        """
        with self.demand():
            while True:
                frame = self.latest()
                if frame is not None and frame.sequence > sequence:
                    return frame
                await self._wait_for_change(None)

    @contextmanager
    def demand(self) -> Iterator[None]:
        """Keep the producer running for as long as the context is open, and `warm_ttl_s` after."""
        self._users += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._users -= 1
            self._last_use_s = self._clock.monotonic_s()

    async def _wait_for_change(self, failures: int | None) -> None:
        if self._closed:
            raise CaptureFailed("The camera was removed.", reason="camera_removed")
        await self._changed.wait()
        if failures is not None and self._failures > failures and self._problem is not None:
            raise self._problem

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # What the producer calls (FrameSink).

    def offer(self, data: bytes, *, captured_s: float | None = None) -> None:
        arrived_s = self._clock.monotonic_s()
        self._last_frame_s = arrived_s
        try:
            info = jpeg.inspect(data)
        except jpeg.JpegError:
            self.drop("damaged")
            return
        source = CapturedAtSource.ARRIVAL if captured_s is None else CapturedAtSource.DEVICE
        if captured_s is None:
            captured_s = arrived_s - self._settings.pipeline_latency_s
        self._sequence += 1
        self._consecutive_failures = 0
        self._problem = None
        self._ring.append(Frame(data, self._sequence, captured_s, source, info.width, info.height))
        self._announce()

    def drop(self, reason: str) -> None:
        self._dropped[reason] += 1

    # The broker's own life.

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve demand until cancelled; then every waiting reader is told that the camera is gone."""
        task_status.started()
        try:
            while True:
                await self._rest_until_wanted()
                await self._stream_while_wanted()
        finally:
            self._closed = True
            self._state = BrokerState.COLD
            self._announce()
            with anyio.CancelScope(shield=True):
                await self._producer.close()

    async def _rest_until_wanted(self) -> None:
        """Wait for demand; a parked producer is closed when none comes for `parked_ttl_s`."""
        if self._users:
            return
        self._wanted = anyio.Event()
        if self._state is BrokerState.PARKED:
            with anyio.move_on_after(self._settings.parked_ttl_s):
                await self._wanted.wait()
                return
            await self._producer.close()
            self._state = BrokerState.COLD
        await self._wanted.wait()

    async def _stream_while_wanted(self) -> None:
        try:
            await self._producer.park()
            self._state = BrokerState.WARM
            self._starts += 1
            await self._supervised_stream()
            self._state = BrokerState.PARKED
        except AgentError as error:
            await self._recover(error)

    async def _supervised_stream(self) -> None:
        """Stream until nobody wants frames; a producer that ends or goes silent raises."""
        self._last_frame_s = self._clock.monotonic_s()
        problem: AgentError | None = None

        async def watch() -> None:
            nonlocal problem
            problem = await self._watch(self._sequence)
            tg.cancel_scope.cancel()

        async with anyio.create_task_group() as tg:
            tg.start_soon(watch)
            try:
                await self._producer.stream(self)
                problem = CaptureFailed("The camera stopped delivering pictures.", reason="camera_stopped")
            except AgentError as error:
                problem = error
            tg.cancel_scope.cancel()
        if problem is not None:
            raise problem

    async def _watch(self, frames_before: int) -> CaptureFailed | None:
        """Sleep to the next moment at which something can be due: the end of demand, or a stall."""
        while True:
            now_s = self._clock.monotonic_s()
            limit_s = (
                self._settings.stall_s if self._sequence > frames_before else self._settings.first_frame_s
            )
            stalled_at_s = self._last_frame_s + limit_s
            expires_at_s = float("inf") if self._users else self._last_use_s + self._settings.warm_ttl_s
            if now_s >= stalled_at_s:
                self._stalls += 1
                return CaptureFailed(
                    f"The camera delivered no picture for {limit_s:g} s.", reason="camera_stalled"
                )
            if now_s >= expires_at_s:
                return None
            await self._clock.sleep(min(stalled_at_s, expires_at_s) - now_s)

    async def _recover(self, error: AgentError) -> None:
        """Tell the waiting readers, leave the device alone for a while, then let demand start it again."""
        problem = (
            error
            if isinstance(error, CaptureFailed)
            else CaptureFailed(error.details, reason=error.reason, suggestion=error.suggestion)
        )
        self._failures += 1
        self._consecutive_failures += 1
        self._problem = problem
        self._announce()
        await self._producer.close()
        self._state = BrokerState.COLD
        exponent = min(self._consecutive_failures - 1, 16)
        self._backing_off = True
        try:
            await self._clock.sleep(
                min(self._settings.backoff_s * 2**exponent, self._settings.backoff_limit_s)
            )
        finally:
            self._backing_off = False

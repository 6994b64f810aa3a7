"""Broker that runs one producer on demand and shares its frames between all readers.

States: `cold` (nothing is open), `parked` (the producer is prepared, not streaming), `warm` (it streams). Demand is a
waiting reader, a connected frame-socket client, or either of them within the last `warm_ttl_s`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

import anyio
import anyio.lowlevel
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, CaptureFailed
from agent_core.base.models import CapturedAtSource, DeviceState, Frame, Settlement, VideoCodec
from agent_core.base.waiting import first_of, sleep_unless
from agent_core.plugin.frames.arrivals import Arrivals
from agent_core.plugin.frames.producer import (
    BrokerSettings,
    BrokerState,
    BrokerStats,
    FrameProducer,
    FrameSink,
    as_capture_failed,
)
from agent_core.plugin.frames.store import Stamp
from agent_core.plugin.frames.stores import store_for
from agent_core.plugin.jpeg import WholeJpeg

__all__ = ("BrokerSettings", "BrokerState", "BrokerStats", "FrameBroker", "FrameProducer", "FrameSink")

_log = logging.getLogger("camera_agent.frames")

#: Longest wait for the producer to close when the broker ends.
_CLOSE_S = 5.0

_FoundT = TypeVar("_FoundT")


class FrameBroker:
    """Frames of one camera, produced while there is demand.

    The owner, a camera source, runs `run` in its task group. Any task of the same event loop may call the other
    methods. `codec` is the coding of the pictures that `producer` offers.
    """

    def __init__(
        self,
        producer: FrameProducer,
        *,
        clock: Clock,
        settings: BrokerSettings,
        codec: VideoCodec = VideoCodec.MJPEG,
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._settings = settings
        self._codec = codec
        self._store = store_for(codec, settings)
        self._changed = anyio.Event()
        self._wanted = anyio.Event()
        self._released = anyio.Event()
        self._users = 0
        self._last_use_s = float("-inf")
        self._arrivals = Arrivals(settings)
        self._sequence_at_start = 0
        self._beginners = 0
        self._starts = self._stalls = self._failures = 0
        self._consecutive_failures = 0
        self._dropped: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._problem: CaptureFailed | None = None
        self._state = BrokerState.COLD
        self._problem_changed_s: float | None = None
        self._unsettled_s: float | None = None
        self._backing_off = False
        self._closed = False

    @property
    def codec(self) -> VideoCodec:
        """Coding of the frames."""
        return self._codec

    @property
    def state(self) -> BrokerState:
        return self._state

    @property
    def problem(self) -> CaptureFailed | None:
        """Reason for the producer's failure; None once frames arrive again."""
        return self._problem

    @property
    def device(self) -> DeviceState:
        """State of the producer's device, by which a snapshot is planned."""
        frame = self.latest()
        return DeviceState(
            is_streaming=self._has_streamed,
            newest_s=frame.captured_s if frame is not None and frame.settled else None,
            unsettled_s=self._unsettled_s,
            problem=self._problem,
            since_s=self._problem_changed_s,
            is_refusing=self._backing_off,
        )

    @property
    def stats(self) -> BrokerStats:
        dropped, repaired = (tuple(sorted(each.items())) for each in (self._dropped, self._repaired))
        return BrokerStats(
            self._store.sequence, self._starts, self._stalls, self._failures, dropped, repaired
        )

    def latest(self) -> Frame | None:
        """Return the newest frame, however old; None if there is none, or none of the coded video that streams."""
        return self._store.newest

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> Frame:
        """Return the newest frame exposed at or after `not_before_s`; start the producer and wait if necessary.

        Args:
            not_before_s: earliest exposure, in seconds of the monotonic clock.
            settled: ignore frames taken while the camera still adjusts its exposure.

        Raises:
            CaptureFailed: the producer failed during this call or just before it, or the broker has ended.
        """

        def found() -> Frame | None:
            frame = self.latest()
            if frame is None or frame.captured_s < not_before_s or (settled and not frame.settled):
                return None
            return frame

        return await self._wait_for(found)

    async def beginning(self, not_before_s: float) -> tuple[Frame, ...]:
        """Return the frames with which a stream begins; start the producer and wait if necessary.

        These are the newest JPEG exposed at or after `not_before_s` (monotonic), or the newest group of coded pictures
        from its key frame on. A camera whose key frames are rare is asked for another one. Raises CaptureFailed as `fresh`.
        """
        self._want_key_frame()
        self._beginners += 1
        try:
            return await self._wait_for(lambda: self._store.beginning(not_before_s) or None)
        finally:
            self._beginners -= 1

    def _want_key_frame(self) -> None:
        """Have the camera asked for a key frame if it streams and the newest one is no good beginning."""
        if self._has_streamed and self._store.wants_key_frame:
            with suppress(Exception), contained("The camera's producer"):  # the stream goes on without
                self._producer.key_frame_wanted()

    async def _wait_for(self, find: Callable[[], _FoundT | None]) -> _FoundT:
        with self.demand():
            failures = self._failures
            while True:
                self._check_open()
                if (found := find()) is not None:
                    return found
                if self._problem is not None and (self._backing_off or self._failures > failures):
                    raise self._problem
                await self._changed.wait()

    async def after(self, sequence: int) -> Frame:
        """Return the frame with which a stream continues after `sequence`; wait for one, even while the producer fails.

        That is the newest JPEG; of coded video the next picture, or the newest key frame for a reader that is far behind.

        Raises:
            CaptureFailed: the broker has ended.
        """
        with self.demand():
            while True:
                self._check_open()
                if (frame := self._store.following(sequence)) is not None:
                    return frame
                await self._changed.wait()

    async def failed(self) -> None:
        """Return when the producer next fails or hangs, or when the broker ends. Waiting does not count as demand."""
        failures = self._failures
        while not self._closed and self._failures == failures:
            await self._changed.wait()

    async def changed(self) -> None:
        """Return at the next frame or failure, or when the broker ends. Waiting does not count as demand."""
        if self._closed:
            await anyio.lowlevel.checkpoint()
        else:
            await self._changed.wait()

    @contextmanager
    def demand(self) -> Iterator[None]:
        """Keep the producer running while the context is open, and for `warm_ttl_s` afterwards."""
        if not self._users:
            self._released = anyio.Event()
        self._users += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._users -= 1
            self._last_use_s = self._clock.monotonic_s()
            if not self._users:
                self._released.set()

    @property
    def _has_streamed(self) -> bool:
        """True once the producer has delivered a frame since its start."""
        return self._state is BrokerState.WARM and self._store.sequence > self._sequence_at_start

    def _check_open(self) -> None:
        if self._closed:
            raise CaptureFailed("The camera was removed.", reason="camera_removed")

    def _note_problem(self, problem: CaptureFailed | None) -> None:
        if (problem is None) is not (self._problem is None):
            self._problem_changed_s = self._clock.monotonic_s()
        self._problem = problem

    def _announce(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    # FrameSink, called by the producer.

    def offer(
        self,
        data: bytes | WholeJpeg,
        *,
        captured_s: float | None = None,
        settled: bool = True,
        settlement: Settlement | None = None,
        arrived_s: float | None = None,
    ) -> None:
        now_s = self._clock.monotonic_s()
        source = CapturedAtSource.ARRIVAL if captured_s is None else CapturedAtSource.DEVICE
        if captured_s is None:
            captured_s = (now_s if arrived_s is None else arrived_s) - self._settings.pipeline_latency_s
        # A device clock may run ahead of ours.
        captured_s = min(captured_s, now_s)
        if not settled:
            self._unsettled_s = captured_s
        added = self._store.add(data, Stamp(captured_s, source, settled, settlement))
        self._dropped.update(added.unused)
        self._repaired.update(added.repairs)
        if added.damaged:
            self.drop(added.damaged)
            self._want_key_frame()
        is_good = added.frames > 0
        if is_good or added.unused:
            can_begin, is_awaited = is_good and self._store.can_begin, self._beginners > 0
            self._arrivals.note(now_s, can_begin=can_begin, is_awaited=is_awaited, is_good=is_good)
        if is_good:
            self._consecutive_failures = 0
            self._note_problem(None)
            self._announce()

    def drop(self, reason: str) -> None:
        self._dropped[reason] += 1
        self._arrivals.note_bad()

    def skip(self, reason: str, count: int = 1) -> None:
        self._dropped[reason] += count

    def gap(self) -> None:
        self._store.gap()

    # Life cycle.

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve demand until cancelled. At the end, waiting readers get CaptureFailed (`camera_removed`)."""
        task_status.started()
        try:
            while True:
                await self._rest_until_wanted()
                await self._stream_while_wanted()
        finally:
            self._closed = True
            self._announce()
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await self._close()

    async def _close(self) -> None:
        self._state = BrokerState.COLD
        try:
            with contained("The camera's producer"):
                await self._producer.close()
        except AgentError:
            return  # the broker gives the device up anyway
        except Exception:  # noqa: BLE001 - foreign code
            _log.exception("the producer could not close its camera")

    async def _rest_until_wanted(self) -> None:
        """Wait for demand. Close a parked producer after `parked_ttl_s` without any."""
        if self._users:
            return
        self._wanted = anyio.Event()
        if self._state is BrokerState.PARKED:
            rest_until_s = self._clock.monotonic_s() + self._settings.parked_ttl_s
            if await self._comes_before(self._wanted, rest_until_s):
                return
            await self._close()
        await self._wanted.wait()

    async def _comes_before(self, event: anyio.Event, deadline_s: float) -> bool:
        """Wait for `event` until `deadline_s` of the injected clock. Return True if it was set."""
        await sleep_unless(self._clock, max(deadline_s - self._clock.monotonic_s(), 0.0), event)
        return event.is_set()

    async def _stream_while_wanted(self) -> None:
        try:
            await self._supervised_stream()
        except AgentError as error:
            await self._recover(error)
            return
        if self._state is BrokerState.WARM:
            self._state = BrokerState.PARKED
        else:  # demand ended while the producer was being prepared
            await self._close()

    async def _supervised_stream(self) -> None:
        """Stream until demand ends. Raises AgentError if the producer ends, fails or goes silent."""
        self._arrivals.start(self._clock.monotonic_s())
        self._store.restart()
        problem: AgentError | None = None

        async def watch() -> None:
            nonlocal problem
            problem = await self._watch()

        async def produce() -> None:
            nonlocal problem
            try:
                await self._produce()
                problem = CaptureFailed("The camera stopped delivering pictures.", reason="camera_stopped")
            except AgentError as error:
                problem = error

        await first_of(produce, watch)
        self._store.gap()
        if problem is not None:
            raise problem

    async def _produce(self) -> None:
        """Run the producer once. Raises AgentError for any exception of the producer, which is foreign code."""
        try:
            with contained("The camera's producer"):
                await self._producer.park()
                self._state = BrokerState.WARM
                self._sequence_at_start = self._store.sequence
                self._starts += 1
                await self._producer.stream(self)
        except AgentError:
            raise
        except Exception as error:
            _log.exception("the producer failed")
            raise CaptureFailed(
                f"The camera's producer failed: {type(error).__name__}.", reason="producer_failed"
            ) from error

    async def _watch(self) -> CaptureFailed | None:
        """Wait for a stall, returned as its error, or for the end of demand, returned as None."""
        while True:
            now_s = self._clock.monotonic_s()
            expires_at_s = self._last_use_s + self._settings.warm_ttl_s
            if (stall := self._arrivals.stall(now_s)) is not None:
                self._stalls += 1
                return stall
            look_at_s = self._arrivals.due_s(now_s)
            if self._users:
                await self._comes_before(self._released, look_at_s)
            elif self._settings.awaits_first and not self._arrivals.has_any:
                await self._clock.sleep(max(look_at_s - now_s, 0.0))
            elif now_s >= expires_at_s:
                return None
            else:
                await self._clock.sleep(min(look_at_s, expires_at_s) - now_s)

    async def _recover(self, error: AgentError) -> None:
        """Fail the waiting readers, close the producer and pause before demand may start it again."""
        self._failures += 1
        self._consecutive_failures += 1
        self._note_problem(as_capture_failed(error))
        self._backing_off = True
        self._announce()
        try:
            await self._close()
            await self._clock.sleep(self._settings.pause_s(self._consecutive_failures))
        finally:
            self._backing_off = False

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import TaskGroup

from agent_core.base.errors import CaptureFailed, FfmpegFailed
from agent_core.base.models import CapturedAtSource, DeviceState, Frame
from agent_core.plugin.frames import BrokerSettings, BrokerState, FrameBroker, FrameSink
from agent_core.testing import SimulatedClock
from agent_core.testing.scripted_producer import ScriptedProducer, a_jpeg

JPEG = a_jpeg()


class Bench:
    """A running broker with a scripted producer on a simulated clock."""

    def __init__(self, settings: BrokerSettings) -> None:
        self.clock = SimulatedClock()
        self.producer = ScriptedProducer()
        self.broker = FrameBroker(self.producer, clock=self.clock, settings=settings)
        self.frames: list[Frame] = []
        self.errors: list[CaptureFailed] = []

    async def read(self, not_before_s: float = 0.0) -> None:
        try:
            self.frames.append(await self.broker.fresh(not_before_s))
        except CaptureFailed as error:
            self.errors.append(error)

    async def warm(self) -> None:
        """Start the producer by one reader and serve it."""
        async with anyio.create_task_group() as tg:
            tg.start_soon(self.read, self.now_s)
            (await self.producer.until_streaming()).offer(JPEG, captured_s=self.now_s)

    def state(self) -> BrokerState:
        return self.broker.state

    @property
    def now_s(self) -> float:
        return self.clock.monotonic_s()


@asynccontextmanager
async def running(settings: BrokerSettings | None = None) -> AsyncIterator[tuple[Bench, TaskGroup]]:
    bench = Bench(settings or BrokerSettings())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await tg.start(bench.broker.run)
            yield bench, tg
            tg.cancel_scope.cancel()


async def test_nothing_runs_before_it_is_wanted() -> None:
    async with running() as (bench, _):
        await bench.clock.advance(1000)
        assert bench.producer.calls == []
        assert bench.state() is BrokerState.COLD
        assert bench.broker.latest() is None


async def test_cold_warm_parked_cold() -> None:
    async with running(BrokerSettings(warm_ttl_s=3, stall_s=4, parked_ttl_s=60)) as (bench, _):
        await bench.warm()
        assert bench.state() is BrokerState.WARM
        assert bench.producer.calls == ["park", "stream"]

        await bench.clock.advance(2.9)
        assert bench.state() is BrokerState.WARM
        await bench.clock.advance(0.2)
        assert bench.state() is BrokerState.PARKED
        assert bench.producer.calls == ["park", "stream"]

        await bench.clock.advance(59.5)
        assert bench.state() is BrokerState.PARKED
        await bench.clock.advance(1)
        assert bench.state() is BrokerState.COLD
        assert bench.producer.calls == ["park", "stream", "close"]


async def test_each_reader_starts_the_warm_time_anew() -> None:
    async with running(BrokerSettings(warm_ttl_s=3, stall_s=10)) as (bench, _):
        await bench.warm()
        await bench.clock.advance(2)
        await bench.read()
        await bench.clock.advance(2)
        assert bench.state() is BrokerState.WARM
        await bench.clock.advance(1.5)
        assert bench.state() is BrokerState.PARKED


async def test_a_parked_producer_streams_again() -> None:
    async with running(BrokerSettings(warm_ttl_s=1)) as (bench, _):
        await bench.warm()
        await bench.clock.advance(1.5)
        assert bench.state() is BrokerState.PARKED
        await bench.warm()
        assert bench.producer.calls == ["park", "stream", "park", "stream"]
        assert bench.broker.stats.starts == 2


async def test_open_demand_keeps_it_warm_and_ends_with_its_context() -> None:
    async with running(BrokerSettings(warm_ttl_s=1)) as (bench, _):
        with bench.broker.demand():
            sink = await bench.producer.until_streaming()
            for _ in range(10):
                await bench.clock.advance(1)
                sink.offer(JPEG)
            assert bench.state() is BrokerState.WARM
        await bench.clock.advance(1.1)
        assert bench.state() is BrokerState.PARKED


async def test_many_readers_share_one_producer_and_its_frames() -> None:
    async with running() as (bench, tg):
        for _ in range(50):
            tg.start_soon(bench.read, bench.now_s)
        sink = await bench.producer.until_streaming()
        await anyio.wait_all_tasks_blocked()
        sink.offer(JPEG, captured_s=bench.now_s)
        await anyio.wait_all_tasks_blocked()
        assert len(bench.frames) == 50
        assert len({id(frame) for frame in bench.frames}) == 1
        assert bench.producer.calls == ["park", "stream"]


async def test_a_cancelled_reader_takes_nobody_with_it() -> None:
    async with running() as (bench, tg):
        tg.start_soon(bench.read, bench.now_s)
        async with anyio.create_task_group() as leader:
            leader.start_soon(bench.read, bench.now_s)
            await bench.producer.until_streaming()
            await anyio.wait_all_tasks_blocked()
            leader.cancel_scope.cancel()
        assert bench.producer.streaming
        bench.producer.sink.offer(JPEG, captured_s=bench.now_s)
        await anyio.wait_all_tasks_blocked()
        assert len(bench.frames) == 1


async def test_when_all_readers_are_cancelled_the_producer_is_parked() -> None:
    async with running(BrokerSettings(warm_ttl_s=1)) as (bench, _):
        async with anyio.create_task_group() as readers:
            readers.start_soon(bench.read, bench.now_s)
            await bench.producer.until_streaming()
            readers.cancel_scope.cancel()
        await bench.clock.advance(1.1)
        assert bench.state() is BrokerState.PARKED
        assert bench.errors == []


async def test_a_frame_of_a_device_is_fresh_by_its_exposure() -> None:
    async with running() as (bench, tg):
        wanted_s = bench.now_s + 1
        tg.start_soon(bench.read, wanted_s)
        sink = await bench.producer.until_streaming()
        await bench.clock.advance(1.5)
        sink.offer(JPEG, captured_s=wanted_s - 0.001)
        await anyio.wait_all_tasks_blocked()
        assert bench.frames == []
        sink.offer(JPEG, captured_s=wanted_s)
        await anyio.wait_all_tasks_blocked()
        (frame,) = bench.frames
        assert (frame.captured_s, frame.captured_at_source) == (wanted_s, CapturedAtSource.DEVICE)
        assert (frame.sequence, frame.width, frame.height, frame.data) == (2, 64, 48, JPEG)


async def test_a_frame_without_a_time_is_as_old_as_the_pipeline_is_long() -> None:
    async with running(BrokerSettings(pipeline_latency_s=0.25)) as (bench, tg):
        wanted_s = bench.now_s
        tg.start_soon(bench.read, wanted_s)
        sink = await bench.producer.until_streaming()
        await bench.clock.advance(0.2)
        sink.offer(JPEG)
        await anyio.wait_all_tasks_blocked()
        assert bench.frames == []
        await bench.clock.advance(0.1)
        sink.offer(JPEG)
        await anyio.wait_all_tasks_blocked()
        (frame,) = bench.frames
        assert frame.captured_s == pytest.approx(wanted_s + 0.05)
        assert frame.captured_at_source is CapturedAtSource.ARRIVAL


async def test_a_frame_that_waited_for_an_encoder_is_dated_by_its_arrival() -> None:
    async with running(BrokerSettings(pipeline_latency_s=0.25)) as (bench, tg):
        tg.start_soon(bench.read, 0.0)
        sink = await bench.producer.until_streaming()
        arrived_s = bench.now_s
        await bench.clock.advance(3)
        sink.offer(JPEG, arrived_s=arrived_s)
        await anyio.wait_all_tasks_blocked()
        (frame,) = bench.frames
        assert frame.captured_s == pytest.approx(arrived_s - 0.25)
        assert frame.captured_at_source is CapturedAtSource.ARRIVAL


@pytest.mark.parametrize("awaits_first", [False, True])
async def test_a_producer_that_hangs_is_told_though_each_use_is_short(*, awaits_first: bool) -> None:
    limits = BrokerSettings(warm_ttl_s=1, first_frame_s=10, awaits_first=awaits_first)
    async with running(limits) as (bench, _):
        with bench.broker.demand():
            await bench.producer.until_streaming()
        for _ in range(11):
            await bench.clock.advance(1)
            await anyio.wait_all_tasks_blocked()
        assert (bench.broker.problem is not None) is awaits_first


async def test_a_producer_that_delivers_rests_after_its_use_though_its_first_frame_is_awaited() -> None:
    async with running(BrokerSettings(warm_ttl_s=1, awaits_first=True)) as (bench, _):
        await bench.warm()
        await bench.clock.advance(20)
        await anyio.wait_all_tasks_blocked()
        assert bench.broker.problem is None
        assert bench.state() is not BrokerState.WARM


async def test_no_frame_is_from_the_future() -> None:
    async with running() as (bench, _):
        with bench.broker.demand():
            (await bench.producer.until_streaming()).offer(JPEG, captured_s=bench.now_s + 60)
        frame = bench.broker.latest()
        assert frame is not None
        assert frame.captured_s == bench.now_s


async def test_a_recent_enough_frame_is_served_at_once() -> None:
    async with running(BrokerSettings(warm_ttl_s=1)) as (bench, _):
        await bench.warm()
        await bench.clock.advance(2)
        assert not bench.producer.streaming
        frame = await bench.broker.fresh(bench.now_s - 2)
        assert frame is bench.broker.latest()


async def test_the_ring_keeps_only_the_newest() -> None:
    async with running(BrokerSettings(ring_frames=2)) as (bench, _):
        with bench.broker.demand():
            sink = await bench.producer.until_streaming()
            for _ in range(5):
                sink.offer(JPEG)
        frame = bench.broker.latest()
        assert frame is not None
        assert frame.sequence == 5
        assert bench.broker.stats.frames == 5


async def test_damaged_frames_are_dropped_and_counted() -> None:
    async with running() as (bench, tg):
        tg.start_soon(bench.read)
        sink = await bench.producer.until_streaming()
        sink.offer(JPEG[:-2])
        sink.offer(b"")
        sink.drop("flagged")
        await anyio.wait_all_tasks_blocked()
        assert bench.frames == []
        assert bench.broker.latest() is None
        sink.offer(JPEG)
        await anyio.wait_all_tasks_blocked()
        assert [frame.sequence for frame in bench.frames] == [1]
        assert bench.broker.stats.dropped == (("damaged", 2), ("flagged", 1))


async def test_what_follows_the_end_of_a_frame_is_left_out() -> None:
    """The start of another picture there would make a stream's reader count two and tear the next."""
    async with running() as (bench, tg):
        tg.start_soon(bench.read)
        sink = await bench.producer.until_streaming()
        for tail in (bytes(5000), JPEG[:200]):
            sink.offer(JPEG + tail, captured_s=bench.now_s)
            frame = bench.broker.latest()
            assert frame is not None
            assert frame.data == JPEG
        assert bench.broker.stats.dropped == ()


async def test_skipped_frames_are_counted_and_no_damage() -> None:
    async with running(BrokerSettings(first_frame_s=10)) as (bench, tg):
        tg.start_soon(bench.read)
        sink = await bench.producer.until_streaming()
        sink.skip("lost", 3)
        sink.skip("superseded")
        await bench.clock.advance(10)
        (error,) = bench.errors
        assert error.reason == "camera_stalled"
        assert bench.broker.stats.dropped == (("lost", 3), ("superseded", 1))


async def test_silence_from_the_start_fails_the_reader() -> None:
    async with running(BrokerSettings(first_frame_s=10)) as (bench, tg):
        tg.start_soon(bench.read)
        await bench.producer.until_streaming()
        await bench.clock.advance(9.9)
        assert bench.errors == []
        await bench.clock.advance(0.1)
        (error,) = bench.errors
        assert (error.reason, error.details) == (
            "camera_stalled",
            "The camera delivered no picture for 10 s.",
        )
        assert error.suggestion
        assert bench.broker.stats.stalls == 1
        assert bench.broker.problem is error
        assert bench.state() is BrokerState.COLD
        assert bench.producer.calls == ["park", "stream", "close"]


async def test_silence_after_frames_fails_the_reader_sooner() -> None:
    async with running(BrokerSettings(first_frame_s=10, stall_s=4)) as (bench, tg):
        await bench.warm()
        tg.start_soon(bench.read, bench.now_s + 0.1)
        await bench.clock.advance(3.9)
        assert bench.errors == []
        await bench.clock.advance(0.2)
        assert [error.reason for error in bench.errors] == ["camera_stalled"]


async def test_only_damaged_frames_are_no_sign_of_life() -> None:
    async with running(BrokerSettings(first_frame_s=2)) as (bench, tg):
        tg.start_soon(bench.read)
        sink = await bench.producer.until_streaming()
        for _ in range(4):
            await bench.clock.advance(0.5)
            if bench.producer.streaming:
                sink.offer(JPEG[:100])
        (error,) = bench.errors
        assert error.reason == "frames_damaged"
        assert error.details == "The camera delivered only damaged pictures for 2 s."


@pytest.mark.parametrize("stall_s", [1.0, 4.0])
async def test_a_stall_right_after_the_first_frame_is_seen_as_early_as_any(stall_s: float) -> None:
    """The longer limit of the first frame ends with the first frame, although a client waits all the time."""
    async with running(BrokerSettings(first_frame_s=10, stall_s=stall_s)) as (bench, _):
        with bench.broker.demand():
            sink = await bench.producer.until_streaming()
            await bench.clock.advance(0.3)
            sink.offer(JPEG)
            await bench.clock.advance(stall_s - 0.1)
            assert bench.broker.stats.stalls == 0
            await bench.clock.advance(0.2)
            assert bench.broker.stats.stalls == 1


async def test_frames_keep_a_stall_away() -> None:
    async with running(BrokerSettings(stall_s=4)) as (bench, _):
        with bench.broker.demand():
            sink = await bench.producer.until_streaming()
            for _ in range(10):
                sink.offer(JPEG)
                await bench.clock.advance(3.9)
        assert bench.broker.stats.stalls == 0


async def test_a_failure_reaches_the_waiting_readers_with_its_reason() -> None:
    async with running() as (bench, tg):
        tg.start_soon(bench.read)
        tg.start_soon(bench.read)
        await bench.producer.until_streaming()
        await anyio.wait_all_tasks_blocked()
        bench.producer.end(
            FfmpegFailed(
                "It is gone.", reason="ffmpeg_missing", suggestion="Install it.", detail="last words"
            )
        )
        await anyio.wait_all_tasks_blocked()
        assert len(bench.errors) == 2
        error = bench.errors[0]
        assert (error.reason, error.details, error.suggestion) == (
            "ffmpeg_missing",
            "It is gone.",
            "Install it.",
        )
        assert (error.dependency, error.detail) == ("ffmpeg", "last words")


async def test_a_producer_that_returns_has_failed() -> None:
    async with running() as (bench, tg):
        tg.start_soon(bench.read)
        await bench.producer.until_streaming()
        bench.producer.end()
        await anyio.wait_all_tasks_blocked()
        assert [error.reason for error in bench.errors] == ["camera_stopped"]


async def test_readers_during_the_backoff_are_told_at_once_and_start_nothing() -> None:
    async with running(BrokerSettings(backoff_s=0.25)) as (bench, _):
        bench.producer.park_error = CaptureFailed("Busy.", reason="device_busy")
        await bench.read()
        await bench.read()
        assert [error.reason for error in bench.errors] == ["device_busy", "device_busy"]
        await bench.clock.advance(10)
        assert bench.producer.calls == ["park", "close"]
        await bench.warm()
        assert bench.broker.problem is None


async def test_the_backoff_doubles_up_to_its_limit_and_a_frame_resets_it() -> None:
    async with running(BrokerSettings(backoff_s=0.25, backoff_limit_s=1)) as (bench, _):
        pauses_s = []

        async def fail_once() -> None:
            sink = await bench.producer.until_streaming()
            assert sink is bench.broker
            await anyio.wait_all_tasks_blocked()
            bench.producer.end()
            await anyio.wait_all_tasks_blocked()
            pause_s = bench.clock.sleeps[-1]
            pauses_s.append(pause_s)
            await bench.clock.advance(pause_s)

        with bench.broker.demand():
            for _ in range(4):
                await fail_once()
            (await bench.producer.until_streaming()).offer(JPEG)
            await fail_once()
        assert pauses_s == [0.25, 0.5, 1.0, 1.0, 0.25]
        assert bench.broker.stats.failures == 5


async def test_a_producer_that_hangs_in_park_fails_the_reader() -> None:
    async with running(BrokerSettings(first_frame_s=10)) as (bench, tg):
        bench.producer.park_forever = True
        tg.start_soon(bench.read)
        await bench.clock.advance(10)
        assert [error.reason for error in bench.errors] == ["camera_stalled"]
        assert bench.producer.calls == ["park", "close"]


async def test_a_park_that_nobody_waits_for_is_undone() -> None:
    async with running(BrokerSettings(warm_ttl_s=1, first_frame_s=10)) as (bench, _):
        bench.producer.park_forever = True
        with bench.broker.demand():
            await anyio.wait_all_tasks_blocked()
        await bench.clock.advance(1.1)
        assert bench.producer.calls == ["park", "close"]
        assert bench.state() is BrokerState.COLD
        assert bench.broker.stats.failures == 0


async def test_after_waits_for_the_next_frame_through_failures() -> None:
    async with running(BrokerSettings(backoff_s=0.25)) as (bench, tg):
        await bench.warm()

        async def follow() -> None:
            bench.frames.append(await bench.broker.after(1))

        bench.frames.clear()
        tg.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        bench.producer.end(CaptureFailed("Gone."))
        await bench.clock.advance(0.25)
        (await bench.producer.until_streaming()).offer(JPEG)
        await anyio.wait_all_tasks_blocked()
        assert [frame.sequence for frame in bench.frames] == [2]


async def test_failed_returns_at_a_failure_and_is_no_demand() -> None:
    async with running(BrokerSettings(warm_ttl_s=1)) as (bench, tg):
        told = anyio.Event()

        async def watch() -> None:
            await bench.broker.failed()
            told.set()

        tg.start_soon(watch)
        await bench.clock.advance(5)
        assert bench.producer.calls == []
        await bench.warm()
        assert not told.is_set()
        bench.producer.end()
        await told.wait()


async def test_changed_returns_at_frames_failures_and_the_end_and_is_no_demand() -> None:
    async with running(BrokerSettings(warm_ttl_s=1)) as (bench, tg):
        seen: list[str] = []

        async def watch() -> None:
            while len(seen) < 4:
                await bench.broker.changed()
                seen.append(bench.broker.problem.details if bench.broker.problem else "frame")

        tg.start_soon(watch)
        await bench.clock.advance(5)
        assert bench.producer.calls == []
        await bench.warm()
        bench.producer.end(CaptureFailed("Gone."))
        await anyio.wait_all_tasks_blocked()
        assert seen == ["frame", "Gone."]


async def test_the_end_tells_all_readers_and_closes_the_producer() -> None:
    bench = Bench(BrokerSettings())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as readers, anyio.create_task_group() as owner:
            await owner.start(bench.broker.run)
            readers.start_soon(bench.read)
            readers.start_soon(bench.broker.failed)
            await bench.producer.until_streaming()
            owner.cancel_scope.cancel()
    assert [error.reason for error in bench.errors] == ["camera_removed"]
    assert bench.producer.calls == ["park", "stream", "close"]
    assert bench.state() is BrokerState.COLD


async def test_a_broker_that_has_ended_serves_no_frame_not_even_a_recent_one() -> None:
    async with running() as (bench, _):
        await bench.warm()
    for read in (bench.broker.fresh(0.0), bench.broker.after(0)):
        with pytest.raises(CaptureFailed) as caught:
            await read
        assert caught.value.reason == "camera_removed"


async def test_an_error_while_closing_does_not_end_the_broker() -> None:
    class Stubborn(ScriptedProducer):
        async def close(self) -> None:
            await super().close()
            raise CaptureFailed("It does not close.")

    bench = Bench(BrokerSettings(backoff_s=0.25))
    bench.producer = Stubborn()
    bench.broker = FrameBroker(bench.producer, clock=bench.clock, settings=BrokerSettings())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await tg.start(bench.broker.run)
            bench.producer.park_error = CaptureFailed("Busy.")
            await bench.read()
            await bench.clock.advance(1)
            await bench.warm()
            assert len(bench.frames) == 1
            tg.cancel_scope.cancel()


@pytest.mark.parametrize("error", [ValueError("bug"), SystemExit(0), KeyboardInterrupt()])
async def test_whatever_a_producer_raises_is_a_failure_of_its_camera(error: BaseException) -> None:
    class Faulty(ScriptedProducer):
        async def stream(self, sink: FrameSink) -> None:
            self.calls.append("stream")
            raise error

        async def close(self) -> None:
            self.calls.append("close")
            raise error

    clock = SimulatedClock()
    producer = Faulty()
    broker = FrameBroker(producer, clock=clock, settings=BrokerSettings())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            await tg.start(broker.run)
            with pytest.raises(CaptureFailed) as caught:
                await broker.fresh(clock.monotonic_s())
            assert type(error).__name__ in caught.value.details
            await clock.advance(60)
            with pytest.raises(CaptureFailed):
                await broker.fresh(clock.monotonic_s())
            assert producer.calls.count("stream") >= 2
            tg.cancel_scope.cancel()


async def test_the_device_is_described_without_touching_it() -> None:
    async with running(BrokerSettings(backoff_s=0.25, warm_ttl_s=5)) as (bench, _):
        assert bench.broker.device == DeviceState()
        bench.producer.park_error = CaptureFailed("Busy.", reason="device_busy")
        await bench.read()
        failed_s, problem = bench.now_s, bench.broker.problem
        assert bench.broker.device == DeviceState(problem=problem, since_s=failed_s, is_refusing=True)
        await bench.clock.advance(0.3)
        assert bench.broker.device == DeviceState(problem=problem, since_s=failed_s)
        assert bench.producer.calls == ["park", "close"]
        await bench.warm()
        solved_s = bench.now_s
        assert bench.broker.device == DeviceState(is_streaming=True, newest_s=solved_s, since_s=solved_s)
        await bench.clock.advance(1)
        bench.producer.sink.offer(JPEG, captured_s=bench.now_s, settled=False)
        assert bench.broker.device.newest_s is None
        assert bench.broker.device.unsettled_s == bench.now_s
        assert bench.broker.device.since_s == solved_s
        await bench.clock.advance(10)
        assert not bench.broker.device.is_streaming


async def test_a_device_streams_from_its_first_frame_after_each_start() -> None:
    async with running(BrokerSettings(warm_ttl_s=5)) as (bench, tg):
        await bench.warm()
        await bench.clock.advance(10)
        tg.start_soon(bench.read, bench.now_s)
        sink = await bench.producer.until_streaming()
        assert not bench.broker.device.is_streaming
        sink.offer(JPEG, captured_s=bench.now_s)
        assert bench.broker.device.is_streaming


async def test_another_problem_does_not_count_as_a_change_of_the_device() -> None:
    async with running(BrokerSettings(backoff_s=0.25)) as (bench, _):
        bench.producer.park_error = CaptureFailed("Busy.", reason="device_busy")
        await bench.read()
        since_s = bench.broker.device.since_s
        await bench.clock.advance(1)
        bench.producer.park_error = CaptureFailed("Mute.", reason="camera_silent")
        await bench.read()
        assert bench.errors[-1].reason == "camera_silent"
        assert bench.broker.device.since_s == since_s

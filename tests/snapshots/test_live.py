"""Live feeds over a real broker with a scripted producer, on a simulated clock."""

import io
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import replace
from datetime import UTC

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup
from PIL import Image

from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, CaptureFailed, RateLimited
from agent_core.base.events import EventBus
from agent_core.base.models import (
    Camera,
    CameraEvent,
    CameraId,
    CameraStatus,
    CapturedAtSource,
    DetectedCamera,
    Fingerprint,
    Frame,
    FrameReader,
    Picture,
    PictureFormat,
)
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameSink
from agent_core.snapshots import images
from agent_core.snapshots.converter import MAX_WAITING, PictureConverter
from agent_core.snapshots.images import Wanted
from agent_core.snapshots.live import LiveFeed, LiveFeeds
from agent_core.snapshots.live.feeds import MOST_SIZES
from agent_core.snapshots.live.scaling import FeedScaler
from agent_core.snapshots.live.sources import FeedSources
from agent_core.snapshots.models import LivePicture, TakenPicture
from agent_core.testing import SimulatedClock
from agent_core.testing.scripted_producer import ScriptedProducer, a_jpeg

CAMERA = CameraId("camera0")
SHADES = [a_jpeg(shade=shade) for shade in range(10, 250, 10)]


class Shown:
    """Viewer that keeps what it is shown, as long as it is not busy."""

    def __init__(self) -> None:
        self.pictures: list[LivePicture] = []
        self.busy = False

    def takes(self, captured_s: float) -> bool:
        return not self.busy

    def show(self, picture: LivePicture) -> None:
        if not self.busy:
            self.pictures.append(picture)

    @property
    def data(self) -> list[bytes]:
        return [each.data for each in self.pictures]

    async def until(self, count: int) -> None:
        while len(self.pictures) < count:
            await anyio.lowlevel.checkpoint()


class Stills:
    """Takes stills as a controller would, and counts them."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.taken = 0
        self.error: AgentError | None = None

    async def take(self, camera: CameraId, max_age_s: float) -> TakenPicture:
        self.taken += 1
        if self.error is not None:
            raise self.error
        data = SHADES[self.taken % len(SHADES)]
        now_s = self._clock.monotonic_s()
        picture = Picture(data, PictureFormat.JPG, 64, 48, now_s, CapturedAtSource.ARRIVAL)
        return TakenPicture(picture, 1, "test", 0.1, self._clock.now(), 0.0, self._clock.now())


class Bench:
    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.producer = ScriptedProducer()
        # Silence of the camera is the test's business.
        self.broker = FrameBroker(
            self.producer, clock=self.clock, settings=BrokerSettings(stall_s=1000, first_frame_s=1000)
        )
        self.events = EventBus(self.clock)
        self.rendered: list[Wanted] = []
        self.may_render = threading.Event()
        self.may_render.set()
        self.converter = PictureConverter(max_pixels=1 << 26, clock=SystemClock(), render=self._render)
        self.stills = Stills(self.clock)
        self.feeds = LiveFeeds(
            FeedSources(self.stills.take, self.clock),
            FeedScaler(self.converter, SystemClock()),
            events=self.events,
        )
        self.camera = a_camera(self.broker)
        self.broker_scope = anyio.CancelScope()

    def _render(
        self, picture: Picture, wanted: Wanted, most: int, is_abandoned: Callable[[], bool]
    ) -> Picture:
        self.may_render.wait(30)
        self.rendered.append(wanted)
        return images.render(picture, wanted, most, is_abandoned)

    async def run_broker(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with self.broker_scope:
            await self.broker.run(task_status=task_status)

    def offer(self, data: bytes) -> None:
        self.producer.sink.offer(data, captured_s=self.clock.monotonic_s())


def a_camera(frames: FrameReader | None, status: CameraStatus = CameraStatus.CONNECTED) -> Camera:
    detected = DetectedCamera("a", "A", Fingerprint("test", "1"), None, frames=frames)
    return Camera(CAMERA, status, 0.0, detected)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Bench, TaskGroup]]:
    bench = Bench()
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            await tasks.start(bench.run_broker)
            await tasks.start(bench.converter.run)
            await tasks.start(bench.feeds.run)
            yield bench, tasks
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def viewed(bench: Bench, *shown: Shown, width: int | None = None) -> AsyncIterator[LiveFeed]:
    """A feed that has begun with the first picture, shown to all of `shown`."""
    begun = anyio.Event()

    async def offer_first() -> None:
        sink: FrameSink = await bench.producer.until_streaming()
        while not begun.is_set():
            sink.offer(SHADES[0], captured_s=bench.clock.monotonic_s())
            await anyio.sleep(0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(offer_first)
        async with bench.feeds.view(bench.camera, width) as feed:
            begun.set()
            with ExitStack() as stack:
                for each in shown:
                    stack.enter_context(feed.shown_to(each))
                yield feed


async def test_viewers_share_one_feed_whose_pictures_are_untouched() -> None:
    one, other = Shown(), Shown()
    async with running() as (bench, _):
        async with viewed(bench, one, other):
            for shade in SHADES[1:4]:
                bench.offer(shade)
                await anyio.wait_all_tasks_blocked()
            assert one.data[-3:] == other.data[-3:] == SHADES[1:4]
            assert one.pictures[-1] is other.pictures[-1]
            assert (one.pictures[-1].width, one.pictures[-1].height) == (64, 48)
            assert len(bench.feeds) == 1
        assert len(bench.feeds) == 0
        assert bench.rendered == []
        assert bench.producer.calls.count("stream") == 1


async def test_the_producer_is_wanted_only_while_somebody_looks() -> None:
    async with running() as (bench, _):
        assert bench.producer.calls == []
        async with viewed(bench, Shown()):
            assert bench.producer.streaming
        await bench.clock.advance(60)
        assert not bench.producer.streaming


async def test_a_picture_says_when_it_was_exposed() -> None:
    shown = Shown()
    async with running() as (bench, _):
        async with viewed(bench, shown):
            before = bench.clock.now()
            await bench.clock.advance(0.5)
            bench.producer.sink.offer(SHADES[3], captured_s=bench.clock.monotonic_s() - 0.25)
            await anyio.wait_all_tasks_blocked()
            age_s = (shown.pictures[-1].captured_at - before).total_seconds()
            assert age_s == pytest.approx(0.25)
            assert shown.pictures[-1].captured_at.tzinfo is UTC


async def test_a_width_is_encoded_once_for_all_viewers_of_it() -> None:
    one, other = Shown(), Shown()
    async with running() as (bench, _):
        async with viewed(bench, one, other, width=32):
            bench.rendered.clear()
            before = len(one.pictures)
            bench.offer(SHADES[5])
            await one.until(before + 1)
            assert bench.rendered == [Wanted(PictureFormat.JPG, 32)]
            assert one.pictures[-1] is other.pictures[-1]
            with Image.open(io.BytesIO(one.pictures[-1].data)) as picture:
                assert picture.size == (32, 24)


async def test_a_width_beyond_the_picture_leaves_it_as_it_is() -> None:
    shown = Shown()
    async with running() as (bench, _):
        async with viewed(bench, shown, width=640):
            bench.offer(SHADES[7])
            await anyio.wait_all_tasks_blocked()
            assert shown.data[-1] == SHADES[7]
            assert bench.rendered == []


async def test_nothing_is_encoded_that_no_viewer_takes() -> None:
    shown = Shown()
    async with running() as (bench, _):
        async with viewed(bench, shown, width=32):
            await anyio.wait_all_tasks_blocked()
            bench.rendered.clear()
            shown.busy = True
            bench.offer(SHADES[5])
            await anyio.wait_all_tasks_blocked()
            assert bench.rendered == []


async def test_a_picture_that_was_not_replaced_because_nothing_was_wanted_passes_for_live_no_more() -> None:
    slow, joining = Shown(), Shown()
    async with running() as (bench, tasks):
        async with viewed(bench, slow, width=32) as feed:
            slow.busy = True
            for number in range(30):
                await bench.clock.advance(9)
                bench.offer(SHADES[1 + number % 2])
                await anyio.wait_all_tasks_blocked()
            assert feed.newest is not None
            assert bench.clock.monotonic_s() - feed.newest.captured_s > 200, "an old picture is to be met"
            begun = anyio.Event()

            async def join() -> None:
                async with bench.feeds.view(bench.camera, 32) as same:
                    assert same is feed
                    with same.shown_to(joining):
                        begun.set()
                        await anyio.sleep_forever()

            tasks.start_soon(join)
            await anyio.wait_all_tasks_blocked()
            assert not begun.is_set()
            await bench.clock.advance(9)
            joined_s = bench.clock.monotonic_s()
            bench.offer(SHADES[9])
            await begun.wait()
            await joining.until(1)
            assert joining.pictures[0].captured_s == joined_s


@pytest.mark.parametrize(("age_s", "count"), [(0.0, 1), (0.9, 1), (1.1, 0), (599.0, 0)])
async def test_a_viewer_that_joins_is_shown_a_picture_that_passes_for_live(age_s: float, count: int) -> None:
    clock, shown = SimulatedClock(), Shown()
    feed = LiveFeed(clock)
    feed.show(LivePicture(SHADES[0], 64, 48, clock.monotonic_s(), clock.now()))
    await clock.advance(age_s)
    with feed.shown_to(shown):
        assert len(shown.pictures) == count


async def test_the_end_of_a_feed_reaches_those_who_wait_for_it_to_begin() -> None:
    feed, problem = LiveFeed(SimulatedClock()), CaptureFailed("Gone.", reason="gone")
    caught: list[AgentError] = []

    async def join() -> None:
        try:
            await feed.wait_begun()
        except AgentError as error:
            caught.append(error)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(join)
        await anyio.wait_all_tasks_blocked()
        feed.end(problem)
    await join()
    assert caught == [problem, problem]


async def test_views_of_many_sizes_leave_room_for_other_pictures() -> None:
    large = a_jpeg(200, 150)
    async with running() as (bench, tasks):

        async def view(width: int) -> None:
            with suppress(RateLimited):
                async with bench.feeds.view(bench.camera, width):
                    await anyio.sleep_forever()

        bench.may_render.clear()
        for width in range(100, 100 + MAX_WAITING + 10):
            tasks.start_soon(view, width)
        sink = await bench.producer.until_streaming()
        sink.offer(large, captured_s=bench.clock.monotonic_s())
        await anyio.wait_all_tasks_blocked()
        picture = Picture(large, PictureFormat.JPG, 200, 150, 0.0, CapturedAtSource.ARRIVAL)
        made: list[Picture] = []

        async def convert() -> None:
            deadline_s = SystemClock().monotonic_s() + 30
            wanted = Wanted(PictureFormat.JPG, 10)
            made.append(await bench.converter.convert(picture, wanted, deadline_s=deadline_s, user="someone"))

        async with anyio.create_task_group() as other:
            other.start_soon(convert)
            await anyio.wait_all_tasks_blocked()
            bench.may_render.set()
        assert [each.width for each in made] == [10]
        # Two were under way, and others' turn came next.
        assert [each.width for each in bench.rendered].index(10) <= 4


async def test_a_feed_ends_with_the_camera() -> None:
    async with running() as (bench, _):
        async with viewed(bench, Shown()) as feed:
            bench.broker_scope.cancel()
            await feed.wait_ended()
            assert feed.problem is not None
            assert feed.problem.reason == "camera_removed"


@pytest.mark.parametrize("removed", [False, True])
async def test_a_feed_ends_when_the_registry_tells_that_the_camera_has_gone(removed: bool) -> None:
    async with running() as (bench, _):
        async with viewed(bench, Shown(), width=32) as feed:
            gone = replace(bench.camera, status=CameraStatus.DISCONNECTED, removed=removed)
            bench.events.publish(
                "camera.disconnected", CameraEvent("camera.disconnected", gone), camera=CAMERA
            )
            await feed.wait_ended()
            assert feed.problem is not None
            assert feed.problem.reason == "camera_disconnected"


@pytest.mark.parametrize("width", [None, 32])
async def test_a_view_of_stills_ends_when_the_camera_gets_a_broker(width: int | None) -> None:
    async with running() as (bench, _):
        with_broker = bench.camera
        bench.camera = a_camera(None)
        async with bench.feeds.view(bench.camera, width) as feed:
            connected = CameraEvent("camera.status_change", with_broker)
            bench.events.publish("camera.status_change", connected, camera=CAMERA)
            await feed.wait_ended()
            assert feed.problem is not None
            assert feed.problem.reason == "view_ended"
            bench.camera = with_broker
            async with viewed(bench, Shown(), width=width) as later:
                assert later is not feed
        assert bench.producer.calls.count("stream") == 1


async def test_a_viewer_who_comes_before_the_event_of_the_broker_gets_its_frames() -> None:
    async with running() as (bench, _):
        with_broker = bench.camera
        async with bench.feeds.view(a_camera(None), None) as feed, viewed(bench, Shown()) as later:
            assert later is not feed
            await feed.wait_ended()
            event = CameraEvent("camera.connected", with_broker)
            bench.events.publish("camera.connected", event, camera=CAMERA)
            await anyio.wait_all_tasks_blocked()
            assert later.problem is None


async def test_a_change_that_leaves_the_broker_leaves_the_feed() -> None:
    async with running() as (bench, _):
        async with viewed(bench, Shown()) as feed:
            failed = replace(bench.camera, status=CameraStatus.ERROR, problem="It stumbles.")
            bench.events.publish(
                "camera.status_change", CameraEvent("camera.status_change", failed), camera=CAMERA
            )
            await anyio.wait_all_tasks_blocked()
            assert feed.problem is None


async def test_a_camera_is_viewed_in_a_few_widths_at_once() -> None:
    async with running() as (bench, _), AsyncExitStack() as stack:
        await stack.enter_async_context(viewed(bench))
        widths = range(100, 100 + MOST_SIZES)
        for width in widths:
            await stack.enter_async_context(viewed(bench, width=width))
        with pytest.raises(RateLimited) as caught:
            async with bench.feeds.view(bench.camera, 99):
                raise AssertionError("it is viewed")
        assert caught.value.reason == "too_many_sizes"
        assert "100, 101" in caught.value.details
        await stack.enter_async_context(viewed(bench, width=100))
        other = replace(a_camera(None), id=CameraId("camera1"))
        async with bench.feeds.view(other, 99):
            assert len(bench.feeds) == MOST_SIZES + 3
        while len(bench.feeds) > MOST_SIZES + 1:  # the feed from which that one was scaled ends with its task
            await anyio.sleep(0.001)
        assert len(bench.feeds) == MOST_SIZES + 1


async def test_the_end_of_one_feed_leaves_later_viewers_a_new_one() -> None:
    async with running() as (bench, _):
        async with viewed(bench, Shown()) as feed:
            gone = replace(bench.camera, status=CameraStatus.DISCONNECTED)
            bench.events.publish(
                "camera.disconnected", CameraEvent("camera.disconnected", gone), camera=CAMERA
            )
            await feed.wait_ended()
            shown = Shown()
            async with viewed(bench, shown) as later:
                assert later is not feed
                assert shown.pictures
        assert len(bench.feeds) == 0


async def test_silence_ends_a_feed_with_the_broker_s_reason() -> None:
    async with running() as (bench, _):
        async with viewed(bench, Shown()) as feed:
            bench.producer.end(CaptureFailed("The cable is loose.", reason="loose"))
            for _ in range(4):
                await bench.clock.advance(10)
            await feed.wait_ended()
            assert feed.problem is not None
            assert feed.problem.reason == "loose"


async def test_pictures_keep_silence_away() -> None:
    async with running() as (bench, _):
        async with viewed(bench, Shown()) as feed:
            for number in range(6):
                await bench.clock.advance(9)
                bench.offer(SHADES[number])
                await anyio.wait_all_tasks_blocked()
            assert feed.problem is None


async def test_a_camera_that_is_not_connected_has_no_view() -> None:
    async with running() as (bench, _):
        with pytest.raises(CaptureFailed) as caught:
            async with bench.feeds.view(a_camera(None, CameraStatus.DISCONNECTED), None):
                raise AssertionError("it has")
        assert caught.value.reason == "camera_disconnected"


async def test_a_camera_that_fails_at_once_gives_the_reason() -> None:
    async with running() as (bench, _):
        bench.producer.park_error = CaptureFailed("No power.", reason="no_power")
        with pytest.raises(CaptureFailed) as caught:
            async with bench.feeds.view(bench.camera, 32):
                raise AssertionError("it has")
        assert caught.value.reason == "no_power"
        assert len(bench.feeds) == 0


class OldReader:
    """Reader of the hooks before 1.4."""

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> object:
        raise AssertionError("the controller takes the stills")


@pytest.mark.parametrize("frames", [None, OldReader()])
async def test_a_camera_without_a_broker_shows_two_stills_per_second(frames: FrameReader | None) -> None:
    one, other = Shown(), Shown()
    async with running() as (bench, _):
        bench.camera = a_camera(frames)
        async with (
            bench.feeds.view(bench.camera, None) as feed,
            bench.feeds.view(bench.camera, 32) as scaled,
        ):
            with feed.shown_to(one), scaled.shown_to(other):
                for _ in range(20):
                    await bench.clock.advance(0.1)
                await other.until(2)
        assert 4 <= bench.stills.taken <= 6
        assert len(one.pictures) >= 4
        assert bench.producer.calls == []


async def test_a_still_that_fails_is_tried_again_until_there_was_none_for_long() -> None:
    async with running() as (bench, _):
        bench.camera = a_camera(None)
        async with bench.feeds.view(bench.camera, None) as feed:
            bench.stills.error = CaptureFailed("Nothing.", reason="nothing")
            for _ in range(10):
                await bench.clock.advance(0.5)
            assert feed.problem is None
            for _ in range(20):
                await bench.clock.advance(0.5)
            await feed.wait_ended()
            assert feed.problem is bench.stills.error


class Broken:
    """Follower that is foreign code."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> object:
        raise self._error

    async def after(self, sequence: int) -> object:
        raise self._error

    def demand(self) -> anyio.CancelScope:
        return anyio.CancelScope()


@pytest.mark.parametrize("error", [RuntimeError("bug"), SystemExit(3)])
async def test_a_broker_that_is_broken_harms_nothing_else(error: BaseException) -> None:
    async with running() as (bench, _):
        broken = a_camera(Broken(error))  # type: ignore[arg-type]  # foreign code
        with pytest.raises(CaptureFailed) as caught:
            async with bench.feeds.view(broken, None):
                raise AssertionError("it has")
        assert caught.value.reason == "broker_failed"
        async with viewed(bench, Shown()):
            assert len(bench.feeds) == 1


class Hostile:
    """Follower with a picture that raises in one place."""

    def __init__(self, place: str, clock: SimulatedClock, error: BaseException) -> None:
        self._place = place
        self._clock = clock
        self._error = error

    def _reached(self, place: str) -> None:
        if place == self._place:
            raise self._error

    @property
    def device(self) -> None:
        self._reached("device")

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> object:
        self._reached("fresh")
        if self._place == "form":
            return "no frame"
        return Frame(SHADES[0], 1, self._clock.monotonic_s(), CapturedAtSource.ARRIVAL, 64, 48)

    async def after(self, sequence: int) -> None:
        self._reached("after")
        await anyio.sleep_forever()

    def demand(self) -> AbstractContextManager[None]:
        self._reached("demand")
        return self._hold()

    @contextmanager
    def _hold(self) -> Iterator[None]:
        self._reached("begin")
        yield
        self._reached("end")


@pytest.mark.parametrize("error", [RuntimeError("bug"), SystemExit(3)], ids=["exception", "exit"])
@pytest.mark.parametrize("place", ["fresh", "form", "after", "demand", "begin", "end", "device"])
async def test_a_broker_may_fail_anywhere(
    place: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    async with running() as (bench, _):
        hostile = a_camera(Hostile(place, bench.clock, error))  # type: ignore[arg-type]  # foreign code
        reasons: list[str] = []

        async def view() -> None:
            try:
                async with bench.feeds.view(hostile, None) as feed:
                    for _ in range(5):
                        await bench.clock.advance(10)
                    await feed.wait_ended()
                    assert feed.problem is not None
                    reasons.append(feed.problem.reason)
            except CaptureFailed as failed:
                reasons.append(failed.reason)

        await view()
        assert reasons == ["camera_silent" if place == "end" else "broker_failed"]
        assert "a frame broker failed" in caplog.text
        async with viewed(bench, Shown()):
            assert len(bench.feeds) == 1


class Faulty(Shown):
    """Viewer with a bug, after its first picture."""

    def show(self, picture: LivePicture) -> None:
        if self.pictures:
            raise RuntimeError("our own bug")
        super().show(picture)


async def test_a_bug_of_the_agent_is_not_called_a_failure_of_the_broker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running() as (bench, _):
        async with viewed(bench, Faulty()) as feed:
            while feed.problem is None:
                bench.offer(SHADES[3])
                await anyio.wait_all_tasks_blocked()
            assert feed.problem is not None
            assert feed.problem.reason == "view_ended"
        told = [each for each in caplog.records if each.message == "a live view failed"]
        assert [each.fields for each in told] == [{"camera": CAMERA}]  # type: ignore[attr-defined]
        assert "a frame broker failed" not in caplog.text


async def test_the_end_of_the_agent_ends_all_feeds() -> None:
    async with running() as (bench, tasks):
        async with viewed(bench, Shown()) as feed:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await feed.wait_ended()
            assert feed.problem is not None

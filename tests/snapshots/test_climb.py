"""Steps of the ladder as planned: each tier can fail and the next serves, and nothing impossible is tried."""

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    CapturedAtSource,
    DetectedCamera,
    DeviceState,
    FfmpegInput,
    Fingerprint,
    FrameReader,
    FrameSocket,
    MediaInput,
    Picture,
    PictureFormat,
    Url,
    VideoCodec,
)
from agent_core.mediamtx.link import ServerState
from agent_core.plugin import CaptureRequest, LiveStream, SnapshotTier, TierNeed, TierUnavailable
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameServer
from agent_core.snapshots.facts import FactSource
from agent_core.snapshots.ladder import AllTiersFailed, SnapshotLadder, Still
from agent_core.snapshots.ring_tier import RingTier
from agent_core.testing import SimulatedClock
from agent_core.testing.scripted_producer import ScriptedProducer, a_jpeg
from ffmpeg_tier import FfmpegTier, FfmpegTierSettings

from .ranked_tier import RankedTier

JPEG = a_jpeg()
NOT_LIVE = TierUnavailable("The stream is not live.", reason="not_live")
NEEDS = (TierNeed.FRAMES, TierNeed.INPUT, TierNeed.LIVE_STREAM, TierNeed.STREAM)


@dataclass
class Streams:
    """Knowledge about the stream and the media server, which a test changes."""

    live_since_s: float | None = 1.0
    server_state: ServerState = ServerState.UP

    def known(self, camera: CameraId) -> LiveStream | None:
        return LiveStream(self.live_since_s, "rtsp://127.0.0.1/camera0")


class Counted(RankedTier):
    """Tier that counts its captures, and fails with `error` while there is one; with a `clock` it takes `takes_s`."""

    def __init__(self, rank: int, needs: TierNeed = TierNeed.NOTHING) -> None:
        super().__init__(rank)
        self.needs = needs  # type: ignore[misc]
        self.error: Exception | None = None
        self.captures = 0
        self.clock: SimulatedClock | None = None
        self.takes_s = 0.0
        self.hangs = False
        self.requests: list[CaptureRequest] = []

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        self.captures += 1
        self.requests.append(request)
        await anyio.lowlevel.checkpoint()
        if self.clock is not None:
            self.clock.jump(self.takes_s)
        if self.hangs:
            await anyio.sleep_forever()
        if self.error is not None:
            raise self.error
        captured_s = max(request.not_before_s, request.deadline_s - 100)
        return Picture(JPEG, PictureFormat.JPG, 64, 48, captured_s, CapturedAtSource.DEVICE)


class Reporting:
    """Frame reader whose device a test describes."""

    def __init__(self, broker: FrameBroker) -> None:
        self.device = DeviceState()
        self.fresh = broker.fresh


def camera(
    frames: FrameReader | None = None,
    socket: Path = Path("/nonexistent"),
    media_input: MediaInput | None = None,
) -> Camera:
    media_input = media_input or FrameSocket(socket, 64, 48, 15.0)
    detected = DetectedCamera("k", "Front", Fingerprint("x"), media_input, frames=frames)
    return Camera(CameraId("camera0"), CameraStatus.CONNECTED, 0.0, detected)


def ladder(*tiers: SnapshotTier, clock: SimulatedClock, streams: Streams) -> SnapshotLadder:
    return SnapshotLadder(tiers, budgets_s=(5.0, 6.0, 6.0, 10.0), clock=clock, facts=FactSource(streams))


def summary(still: Still | AllTiersFailed) -> list[tuple[int, str, bool]]:
    return [(each.rank, each.reason, each.was_tried) for each in still.attempts]


SUBSETS = [set(each) for count in range(5) for each in itertools.combinations(range(4), count)]


@pytest.mark.parametrize("broken", SUBSETS, ids=lambda each: "".join(map(str, sorted(each))) or "none")
async def test_any_tiers_may_fail_and_the_next_one_serves(broken: set[int]) -> None:
    clock = SimulatedClock()
    tiers = [Counted(rank, needs) for rank, needs in enumerate(NEEDS)]
    for rank in broken:
        tiers[rank].error = CaptureFailed(f"{rank} failed.", reason=f"reason_{rank}")
    snapshots = ladder(*tiers, clock=clock, streams=Streams())
    deadline_s = clock.monotonic_s() + 10
    try:
        outcome: Still | AllTiersFailed = await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)
    except AllTiersFailed as error:
        outcome = error
    working = sorted(set(range(4)) - broken)
    before = working[0] if working else 4
    assert summary(outcome) == [(rank, f"reason_{rank}", True) for rank in range(before)]
    if isinstance(outcome, Still):
        assert outcome.rank == before
    else:
        assert outcome.reason == "reason_3"
        assert [each["details"] for each in _tried(outcome)] == [f"{rank} failed." for rank in range(4)]
    asked = [request for tier in tiers for request in tier.requests]
    assert all(request.deadline_s <= deadline_s for request in asked)


def _tried(error: AllTiersFailed) -> list[dict[str, object]]:
    tried = error.data()["tiers_tried"]
    assert isinstance(tried, list)
    return tried


async def test_a_tier_that_failed_comes_last_until_its_pause_is_over() -> None:
    clock = SimulatedClock()
    first, second = Counted(0), Counted(1)
    snapshots = ladder(first, second, clock=clock, streams=Streams())
    first.error = CaptureFailed("Dark.", reason="dark")
    for _ in range(5):
        still = await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)
        assert still.rank == 1
    assert summary(still) == [(0, "recently_failed", False)]
    assert (first.captures, second.captures) == (1, 5)
    first.error = None
    await clock.advance(1.0)
    assert (await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)).rank == 0


async def test_a_tier_that_failed_is_tried_if_nothing_else_is_left() -> None:
    clock = SimulatedClock()
    first, second = Counted(0), Counted(1)
    snapshots = ladder(first, second, clock=clock, streams=Streams())
    first.error = second.error = CaptureFailed("Dark.", reason="dark")
    for _ in range(3):
        with pytest.raises(AllTiersFailed):
            await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)
    assert (first.captures, second.captures) == (3, 3)
    first.error = None
    assert (await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)).rank == 0


async def test_a_live_stream_passes_a_tier_that_proved_to_be_slow() -> None:
    clock, streams = SimulatedClock(), Streams(live_since_s=None)
    slow, live = Counted(1, TierNeed.INPUT), Counted(2, TierNeed.LIVE_STREAM)
    slow.clock, slow.takes_s = clock, 0.75
    snapshots = ladder(slow, live, clock=clock, streams=streams)
    network = camera(media_input=FfmpegInput(("-i", "x")))

    async def rank(max_age_s: float = 0.5) -> int:
        return (await snapshots.take(network, max_age_s=max_age_s, deadline_s=10)).rank

    assert [await rank() for _ in range(5)] == [1] * 5
    streams.live_since_s = clock.monotonic_s()
    still = await snapshots.take(network, max_age_s=0.5, deadline_s=10)
    assert (still.rank, still.tier, summary(still)) == (2, "tier2", [(1, "slower", False)])
    assert still.attempts[0].name == "tier1"
    assert "tier2" in still.attempts[0].details
    assert await rank(max_age_s=0.0) == 1, "a new exposure is another matter"
    assert await rank(max_age_s=5.0) == 1
    slow.takes_s = 0.0
    other = replace(network, id=CameraId("camera1"))
    assert (await snapshots.take(other, max_age_s=0.5, deadline_s=10)).rank == 1, "so is another camera"


async def test_a_device_that_runs_already_is_measured_apart() -> None:
    clock = SimulatedClock()
    broker = FrameBroker(ScriptedProducer(), clock=clock, settings=BrokerSettings())
    cold = Reporting(broker)
    ring, live = Counted(0, TierNeed.FRAMES), Counted(2, TierNeed.LIVE_STREAM)
    ring.clock, ring.takes_s = clock, 0.75
    snapshots = ladder(ring, live, clock=clock, streams=Streams())
    for _ in range(5):
        await snapshots.take(camera(cold), max_age_s=0.5, deadline_s=10)
    assert (await snapshots.take(camera(cold), max_age_s=0.5, deadline_s=10)).rank == 2
    cold.device = DeviceState(is_streaming=True)
    assert (await snapshots.take(camera(cold), max_age_s=0.5, deadline_s=10)).rank == 0


async def test_a_time_out_counts_for_as_little_time_as_it_had() -> None:
    first, second = Counted(0), Counted(1)
    first.hangs = True
    snapshots = ladder(first, second, clock=SimulatedClock(), streams=Streams())
    still = await snapshots.take(camera(), max_age_s=0.5, deadline_s=1.0)
    assert summary(still) == [(0, "timed_out", True)]
    first.hangs = False
    still = await snapshots.take(camera(), max_age_s=0.5, deadline_s=1.0)
    assert (still.rank, summary(still)) == (1, [(0, "recently_failed", False)])
    assert (await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)).rank == 0


async def test_a_network_stream_whose_pictures_would_be_too_late_costs_no_ffmpeg(
    tmp_path: Path, counted_ffmpeg: Callable[[Path], str]
) -> None:
    clock, log = SimulatedClock(), tmp_path / "log"
    tier = FfmpegTier(FfmpegTierSettings(network_latency_s=0.5), program=counted_ffmpeg(log), clock=clock)
    snapshots = ladder(tier, clock=clock, streams=Streams())
    network = camera(media_input=Url("rtsp://192.0.2.1/front"))
    with pytest.raises(AllTiersFailed) as caught:
        await snapshots.take(network, max_age_s=0, deadline_s=0.3)
    assert summary(caught.value) == [(1, "too_slow", False)]
    assert not log.exists()
    with pytest.raises(AllTiersFailed):
        await snapshots.take(network, max_age_s=0, deadline_s=20)
    assert log.exists(), "it is started when its picture can be in time"
    assert tier.latency_s(camera()) == 0, "a frame socket sends new frames"


@pytest.mark.parametrize("answer", [None, "0.5", -0.1, float("nan"), float("inf"), ValueError("bug")])
async def test_a_tier_that_cannot_say_how_old_its_pictures_are_costs_only_its_attempt(answer: object) -> None:
    class Unsure(Counted):
        def latency_s(self, camera: Camera) -> float:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[return-value]

    first = Unsure(0)
    still = await ladder(first, Counted(1), clock=SimulatedClock(), streams=Streams()).take(
        camera(), max_age_s=0.5, deadline_s=10
    )
    assert (still.rank, summary(still), first.captures) == (1, [(0, "tier_error", True)], 0)
    assert "The tier tier0 failed" in still.attempts[0].details


async def test_counters_tell_what_each_tier_did() -> None:
    clock = SimulatedClock()
    first, second = Counted(0), Counted(2, TierNeed.LIVE_STREAM)
    streams = Streams(live_since_s=None)
    snapshots = ladder(first, second, clock=clock, streams=streams)
    first.error = CaptureFailed("Dark.", reason="dark")
    second.error = NOT_LIVE
    with pytest.raises(AllTiersFailed) as caught:
        await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)
    assert summary(caught.value) == [(0, "dark", True), (2, "not_live", True)]
    assert caught.value.reason == "dark"
    second.error = None
    streams.live_since_s = clock.monotonic_s()
    await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)
    failing, serving = snapshots.metrics
    assert [(each.rank, each.name) for each in snapshots.metrics] == [(0, "tier0"), (2, "tier2")]
    assert (failing.attempts, failing.failures, failing.durations) == (1, (("dark", 1),), None)
    assert failing.skips == (("recently_failed", 1),)
    assert (serving.attempts, serving.pictures, serving.failures) == (2, 1, (("not_live", 1),))
    assert serving.durations


async def test_a_tier_that_cannot_say_what_it_supports_counts_as_failed() -> None:
    class Unsure(Counted):
        def supports(self, camera: Camera) -> bool:
            raise ValueError

    snapshots = ladder(Unsure(0), clock=SimulatedClock(), streams=Streams())
    with pytest.raises(AllTiersFailed) as caught:
        await snapshots.take(camera(), max_age_s=0.5, deadline_s=10)
    assert summary(caught.value) == [(0, "tier_error", True)]
    assert snapshots.metrics[0].failures == (("tier_error", 1),)


async def test_a_broker_that_cannot_tell_its_state_costs_nothing() -> None:
    class Silent:
        @property
        def device(self) -> object:
            raise SystemExit

        fresh = FrameBroker.fresh

    tier = Counted(0, TierNeed.FRAMES)
    snapshots = ladder(tier, clock=SimulatedClock(), streams=Streams())
    still = await snapshots.take(camera(Silent()), max_age_s=0.5, deadline_s=10)
    assert still.rank == 0


# A camera that another program holds: real broker, frame socket and FFmpeg tier, with a counted FFmpeg.


@dataclass
class HeldCamera:
    """Camera whose device another program holds, and what was started for it."""

    snapshots: SnapshotLadder
    camera: Camera
    producer: ScriptedProducer
    clock: SimulatedClock
    streams: Streams
    stream_tier: Counted
    activation: Counted
    _log: Path

    @property
    def ffmpegs(self) -> int:
        return len(self._log.read_text().splitlines()) if self._log.exists() else 0

    @property
    def opens(self) -> int:
        return self.producer.calls.count("park")

    async def take(self) -> Still:
        self.producer.park_error = CaptureFailed("Another program uses it.", reason="device_busy")
        with anyio.fail_after(20):
            return await self.snapshots.take(self.camera, max_age_s=0.5, deadline_s=10.0)


@asynccontextmanager
async def held_camera(tmp_path: Path, script: Callable[[Path], str]) -> AsyncIterator[HeldCamera]:
    clock, producer, streams, log = SimulatedClock(), ScriptedProducer(), Streams(), tmp_path / "log"
    broker = FrameBroker(producer, clock=clock, settings=BrokerSettings())
    socket = tmp_path / "camera0.sock"
    ffmpeg = FfmpegTier(FfmpegTierSettings(), program=script(log), clock=clock)
    stream_tier, activation = Counted(2, TierNeed.LIVE_STREAM), Counted(3, TierNeed.STREAM)
    snapshots = ladder(RingTier(clock), ffmpeg, stream_tier, activation, clock=clock, streams=streams)
    async with anyio.create_task_group() as tg:
        await tg.start(broker.run)
        await tg.start(FrameServer(broker, socket, clock=clock).run)
        yield HeldCamera(
            snapshots, camera(broker, socket), producer, clock, streams, stream_tier, activation, log
        )
        tg.cancel_scope.cancel()


@pytest.fixture
def counted_ffmpeg(tmp_path: Path) -> Callable[[Path], str]:
    def made(log: Path) -> str:
        program = tmp_path / "counted-ffmpeg"
        program.write_text(f"#!/bin/sh\necho started >> {log}\nexit 1\n")
        program.chmod(0o755)
        return str(program)

    return made


async def test_a_held_camera_is_photographed_from_its_live_stream_and_left_alone(
    tmp_path: Path, counted_ffmpeg: Callable[[Path], str]
) -> None:
    async with held_camera(tmp_path, counted_ffmpeg) as held:
        stills = [await held.take() for _ in range(10)]
        assert [still.rank for still in stills] == [2] * 10
        assert summary(stills[0]) == [(0, "device_busy", True), (1, "device_busy", False)]
        assert summary(stills[9]) == [(0, "device_busy", False), (1, "device_busy", False)]
        assert stills[9].attempts[0].details == "Another program uses it."
        assert (held.opens, held.ffmpegs, held.activation.captures) == (1, 0, 0)
        await held.clock.advance(0.9)  # the broker itself would try again, the pause is not over
        await held.take()
        assert (held.opens, held.ffmpegs) == (1, 0)
        await held.clock.advance(0.2)
        assert (await held.take()).rank == 2
        assert (held.opens, held.ffmpegs) == (2, 0), "one look after the pause"


async def test_a_held_camera_without_a_live_stream_starts_nothing(
    tmp_path: Path, counted_ffmpeg: Callable[[Path], str]
) -> None:
    async with held_camera(tmp_path, counted_ffmpeg) as held:
        held.streams.live_since_s, held.stream_tier.error = None, NOT_LIVE
        for _ in range(10):
            with pytest.raises(AllTiersFailed) as caught:
                await held.take()
            assert caught.value.reason == "device_busy"
        assert summary(caught.value) == [
            (2, "not_live", True),
            (0, "device_busy", False),
            (1, "device_busy", False),
            (3, "device_busy", False),
        ]
        assert (held.opens, held.ffmpegs, held.activation.captures) == (1, 0, 0)
        assert held.stream_tier.captures == 10, "it asks the media server, and starts nothing"


async def test_a_camera_is_used_as_soon_as_the_broker_knows_that_it_is_free(
    tmp_path: Path, counted_ffmpeg: Callable[[Path], str]
) -> None:
    async with held_camera(tmp_path, counted_ffmpeg) as held:
        await held.take()
        held.producer.park_error = None
        frames = held.camera.frames
        assert isinstance(frames, FrameBroker)
        await held.clock.advance(0.3)  # the broker's own pause
        with frames.demand():
            await held.producer.until_streaming()
            await held.clock.advance(0.1)
            held.producer.sink.offer(JPEG, captured_s=held.clock.monotonic_s())
            still = await held.snapshots.take(held.camera, max_age_s=0.5, deadline_s=10.0)
        assert still.rank == 0
        assert still.attempts == ()
        assert frames.device.problem is None


@dataclass
class Gate:
    """Gate of a camera's source; it gives another input than the camera was reported with."""

    problem: CaptureFailed | None = None
    media_input: MediaInput = field(default_factory=lambda: Url("rtsp://192.0.2.2/"))

    async def admit(self) -> MediaInput:
        if self.problem is not None:
            raise self.problem
        return self.media_input

    async def admit_redirect(self, url: str) -> str:
        return url


class Opening(Counted):
    """Tier that keeps the input of the cameras that it opens."""

    opened: MediaInput | None = None

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        self.opened = camera.media_input
        return await super().capture(camera, request)


async def test_a_tier_opens_the_input_that_the_source_admits() -> None:
    gate, direct = Gate(), Opening(1, TierNeed.INPUT)
    given = camera(media_input=Url("rtsp://192.0.2.1/"))
    given = replace(given, detected=replace(given.detected, gate=gate))
    snapshots = ladder(direct, clock=SimulatedClock(), streams=Streams())
    await snapshots.take(given, max_age_s=0.5, deadline_s=10)
    assert direct.opened == Url("rtsp://192.0.2.2/")
    gate.problem = CaptureFailed("It redirects.", reason="redirected")
    with pytest.raises(AllTiersFailed) as failed:
        await snapshots.take(given, max_age_s=0.5, deadline_s=10)
    assert failed.value.reason == "redirected"
    assert direct.captures == 1


@pytest.mark.parametrize("has_decoder", [False, True])
async def test_a_camera_with_coded_video_that_gives_no_picture_names_the_plugin_that_decodes_it(
    *, has_decoder: bool
) -> None:
    tiers = [Counted(0, TierNeed.FRAMES)] * has_decoder + [Counted(1, TierNeed.INPUT)]
    for each in tiers:
        each.error = CaptureFailed("It failed.", reason="odd", suggestion="Wait.")
    video = FrameSocket(Path("/nonexistent"), 64, 48, 15.0, VideoCodec.H264)
    with pytest.raises(AllTiersFailed) as caught:
        await ladder(*tiers, clock=SimulatedClock(), streams=Streams()).take(
            camera(media_input=video), max_age_s=0.0, deadline_s=5.0
        )
    advice = "" if has_decoder else " Enable the plugin rtsp_tier, which decodes the camera's own video."
    assert caught.value.suggestion == f"Wait.{advice}"

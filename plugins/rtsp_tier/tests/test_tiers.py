"""The two tiers with streams and a worker that are not real: what they start, keep, close and say."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent_core.mediamtx.link import ServerState
from agent_core.plugin import (
    Camera,
    CameraId,
    CameraStatus,
    CaptureFailed,
    CaptureRequest,
    DetectedCamera,
    Fingerprint,
    FrameSocket,
    InvalidState,
    LiveStream,
    Picture,
    SnapshotTier,
    TierUnavailable,
    Unsupported,
)
from agent_core.plugin.rtsp import Credentials
from agent_core.snapshots.facts import FactSource
from agent_core.snapshots.ladder import AllTiersFailed, SnapshotLadder
from agent_core.testing import FakeAgent, FakeStream, SimulatedClock, as_camera
from rtsp_tier.component import RtspTierComponent
from rtsp_tier.settings import RtspTierSettings

PROGRAM = Path(__file__).with_name("fake_worker.py")
KEEP_WARM_S, TTL_S, WITHIN_S = 5.0, 30.0, 10.0


async def until(is_true: Callable[[], bool]) -> None:
    """Poll, because the change is in another process; the rig limits the time."""
    while not is_true():
        await anyio.sleep(0.01)


def numbered(number: int) -> Camera:
    socket = FrameSocket(Path("/nowhere.sock"), 320, 240, 15)
    detected = DetectedCamera(str(number), "Test", Fingerprint("test", str(number)), socket)
    return as_camera(detected, f"camera{number}")


CAMERA = numbered(0)


@dataclass
class Rig:
    """The plugin's parts, which run, with a clock that stands still."""

    component: RtspTierComponent
    agent: FakeAgent
    clock: SimulatedClock
    log: Path
    tasks: anyio.abc.TaskGroup

    def serve(self, camera: Camera = CAMERA, fault: str = "camera0", *, live: bool = True) -> FakeStream:
        stream = self.agent.streams.serve(
            camera.id, f"rtsp://127.0.0.1:9/{fault}", Credentials("reader", "hunter2")
        )
        stream.watch(self.clock.monotonic_s(), watched=live)
        self.agent.cameras.known.append(camera)
        return stream

    async def take(self, tier: SnapshotTier, camera: Camera = CAMERA, limit_s: float = 20.0) -> Picture:
        now_s = self.clock.monotonic_s()
        return await tier.capture(camera, CaptureRequest(now_s, now_s + limit_s))

    async def reuse(self, camera: Camera = CAMERA) -> Picture:
        return await self.take(self.component.reuse, camera)

    async def activate(self, camera: Camera = CAMERA, limit_s: float = 20.0) -> Picture:
        return await self.take(self.component.activation, camera, limit_s)

    def told(self, word: str) -> int:
        return self.log.read_text().split().count(word) if self.log.exists() else 0

    def readers(self, camera: Camera = CAMERA) -> int:
        return self.agent.streams.readers[camera.id]


@dataclass
class _Seen:
    """The agent's streams, as the core would have seen them."""

    agent: FakeAgent
    server_state: ServerState = ServerState.UP

    def known(self, camera: CameraId) -> LiveStream | None:
        return self.agent.streams.known(camera)


@asynccontextmanager
async def rig(folder: Path, **settings: float) -> AsyncIterator[Rig]:
    clock, log = SimulatedClock(), folder / "worker.log"
    agent = FakeAgent(folder, clock=clock)
    chosen = RtspTierSettings.model_validate(
        {
            "keep_warm_s": KEEP_WARM_S,
            "resident_ttl_s": TTL_S,
            "resident_within_s": WITHIN_S,
            "worker_silence_s": 10,
        }
        | settings
    )
    words = (sys.executable, str(PROGRAM), "good", str(log))
    component = RtspTierComponent.assemble(agent, chosen, worker=words)
    with anyio.fail_after(40):
        async with anyio.create_task_group() as tasks:
            await tasks.start(component.run)
            yield Rig(component, agent, clock, log, tasks)
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize("is_live", [True, False])
async def test_a_picture_that_would_be_too_late_costs_no_process_and_starts_no_stream(
    tmp_path: Path, is_live: bool
) -> None:
    async with rig(tmp_path, latency_s=0.5) as it:
        stream = it.serve(live=is_live)
        tiers = (it.component.reuse, it.component.activation)
        ladder = SnapshotLadder(tiers, budgets_s=(10.0,), clock=it.clock, facts=FactSource(_Seen(it.agent)))
        with pytest.raises(AllTiersFailed) as caught:
            await ladder.take(CAMERA, max_age_s=0.0, deadline_s=0.3)
        assert [(each.name, each.reason) for each in caught.value.attempts] == [
            ("rtsp", "too_slow"),
            ("rtsp_activation", "too_slow"),
        ]
        assert it.component.decoder.starts == 0
        assert (it.agent.streams.looks[CAMERA.id], stream.leases) == (0, [])


# Tier 2.


async def test_a_stream_that_is_not_live_costs_no_process_and_is_not_started(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(live=False)
        with pytest.raises(TierUnavailable) as caught:
            await it.reuse()
        assert caught.value.reason == "not_live"
        assert it.component.decoder.starts == 0
        assert stream.leases == []


async def test_without_a_media_server_tier_2_is_not_available_and_says_why(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve()
        it.agent.streams.has_server = False
        with pytest.raises(TierUnavailable) as caught:
            await it.reuse()
        assert caught.value.reason == "no_media_server"
        assert it.component.decoder.starts == 0


async def test_the_first_picture_is_of_a_reader_for_it_and_the_next_of_a_resident_one(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve()
        await it.reuse()
        assert it.readers() == 0
        assert (it.told("TakeOnce"), it.told("OpenReader")) == (1, 0)
        for _ in range(3):
            await it.reuse()
        assert it.readers() == 1
        assert (it.told("TakeOnce"), it.told("OpenReader"), it.told("TakeResident")) == (1, 1, 3)
        assert it.agent.streams.looks[CAMERA.id] == 2  # an open reader is proof enough


async def test_a_camera_that_is_photographed_now_and_then_gets_no_resident_reader(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve()
        for _ in range(3):
            await it.reuse()
            it.clock.jump(WITHIN_S + 1)
        assert (it.told("TakeOnce"), it.told("OpenReader")) == (3, 0)


async def test_a_resident_reader_is_closed_some_time_after_its_last_picture(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve()
        await it.reuse()
        await it.reuse()
        await it.clock.advance(TTL_S - 1)
        assert it.readers() == 1
        await it.reuse()
        await it.clock.advance(TTL_S - 1)
        assert it.readers() == 1
        await it.clock.advance(2)
        assert it.readers() == 0
        await until(lambda: it.told("CloseReader") == 1)


async def test_a_resident_reader_is_never_the_reason_why_a_stream_is_live(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve()
        await it.reuse()
        await it.reuse()
        stream.is_watched = False  # the last viewer leaves; our reader keeps the stream live
        await it.clock.advance(KEEP_WARM_S - 1)
        assert it.readers() == 1
        await it.clock.advance(2)
        assert it.readers() == 0


async def test_the_number_of_resident_readers_is_bounded(tmp_path: Path) -> None:
    async with rig(tmp_path, resident_readers=2) as it:
        cameras = [numbered(number) for number in range(4)]
        for camera in cameras:
            it.serve(camera)
            await it.reuse(camera)
            it.clock.jump(1)
            await it.reuse(camera)
        assert [it.readers(camera) for camera in cameras] == [0, 0, 1, 1]


async def test_a_reader_of_an_address_that_has_changed_is_opened_anew(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve()
        await it.reuse()
        await it.reuse()
        stream.credentials = Credentials("reader", "correct horse")
        await it.activate()
        assert (it.told("OpenReader"), it.told("CloseReader"), it.readers()) == (2, 1, 1)


async def test_a_reader_whose_stream_has_ended_is_gone_and_the_next_picture_looks_again(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(fault="ends")
        await it.reuse()
        await it.reuse()  # its reader ends: the picture is of a reader for it
        assert it.told("TakeOnce") == 2
        await until(lambda: it.readers() == 0)
        stream.watch(it.clock.monotonic_s(), watched=False)
        with pytest.raises(TierUnavailable):
            await it.reuse()


async def test_a_stream_that_refuses_the_credentials_says_so(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve(fault="credentials")
        with pytest.raises(CaptureFailed) as caught:
            await it.reuse()
        assert caught.value.reason == "credentials"
        assert "hunter2" not in caught.value.details


# Tier 3.


async def test_a_stream_is_started_photographed_kept_warm_and_released(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(live=False)
        await it.activate()
        for _ in range(3):
            await it.clock.advance(KEEP_WARM_S - 1)
            await it.activate()
            assert len(stream.leases) == 1
        await it.clock.advance(KEEP_WARM_S + 1)
        assert stream.leases == []


async def test_the_reader_connects_while_the_stream_starts(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(live=False)
        stream.starts = anyio.Event()
        await it.activate()
        assert stream.leases == []
        stream.starts.set()
        await until(lambda: len(stream.leases) == 1)  # it is kept warm for the next picture
        await it.clock.advance(KEEP_WARM_S + 1)
        assert stream.leases == []


async def test_a_reader_that_is_refused_while_the_stream_starts_tries_again_when_it_is_live(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(fault="late", live=False)
        stream.starts = anyio.Event()
        async with anyio.create_task_group() as tg:
            tg.start_soon(it.activate)
            await until(lambda: it.told("TakeOnce") == 1)
            stream.starts.set()
        assert it.told("TakeOnce") == 2


async def test_a_reader_that_waited_in_vain_connects_again_while_the_stream_still_starts(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(fault="starts", live=False)
        stream.starts = anyio.Event()
        await it.activate()  # the third reader is the one for which it starts
        assert it.told("TakeOnce") == 3
        stream.starts.set()


async def test_a_live_stream_that_gives_no_picture_in_time_is_not_read_again(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve(fault="timed_out")
        with pytest.raises(CaptureFailed) as caught:
            await it.activate()
        assert caught.value.reason == "timed_out"
        assert it.told("TakeOnce") <= 2


async def test_while_a_stream_is_warm_tier_2_serves_from_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        it.serve(live=False)
        await it.activate()
        await it.reuse()
        assert it.told("TakeResident") == 1


async def test_without_time_to_keep_warm_the_stream_is_released_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path, keep_warm_s=0) as it:
        stream = it.serve(live=False)
        await it.activate()
        await it.clock.advance(0)
        assert stream.leases == []


@pytest.mark.parametrize(
    ("problem", "kind"),
    [
        (CaptureFailed("It does not work.", reason="camera_failed"), CaptureFailed),
        (Unsupported("No server.", feature="media_server", reason="no_media_server"), TierUnavailable),
        (InvalidState("Stopped.", state="X", allowed_states=(), reason="stopped"), CaptureFailed),
    ],
)
async def test_a_stream_that_does_not_start_gives_its_reason(
    tmp_path: Path, problem: CaptureFailed, kind: type[CaptureFailed]
) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(live=False)
        stream.problem = problem
        with pytest.raises(CaptureFailed) as caught:
            await it.activate()
        assert (type(caught.value), caught.value.reason) == (kind, problem.reason)
        assert it.component.decoder.starts == 0
        stream.problem = None
        await it.activate()


async def test_a_cancelled_capture_releases_a_stream_that_is_still_starting(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(fault="slow", live=False)
        stream.starts = anyio.Event()
        with anyio.move_on_after(0.05):
            await it.activate()
        stream.starts.set()
        await it.clock.advance(0)
        assert stream.leases == []


async def too_late(it: Rig) -> None:
    with pytest.raises(CaptureFailed) as caught:
        await it.activate(limit_s=0.3)
    assert caught.value.reason == "timed_out"


async def test_a_stream_that_starts_too_slowly_is_live_for_the_next_attempt(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(fault="slow", live=False)
        stream.starts = anyio.Event()
        async with anyio.create_task_group() as tg:
            tg.start_soon(too_late, it)
            await until(lambda: it.agent.streams.looks[CAMERA.id] == 1)
            it.clock.jump(0.3)
        stream.url = stream.url.replace("slow", "camera0")
        stream.starts.set()
        await until(lambda: len(stream.leases) == 1)
        await it.activate()
        await it.clock.advance(KEEP_WARM_S + 1)
        assert stream.leases == []


async def test_a_failed_picture_does_not_keep_the_stream(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(fault="stream_damaged", live=False)
        with pytest.raises(CaptureFailed):
            await it.activate()
        await it.clock.advance(0)
        assert stream.leases == []


async def test_a_lost_camera_is_not_kept_warm(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(live=False)
        await it.activate()
        lost = Camera(CameraId("camera0"), CameraStatus.DISCONNECTED, 0.0, CAMERA.detected)
        it.agent.cameras.known[:] = [lost]
        await it.clock.advance(1.5)
        assert stream.leases == []


async def test_nothing_is_held_or_read_after_the_end(tmp_path: Path) -> None:
    async with rig(tmp_path) as it:
        stream = it.serve(live=False)
        for _ in range(3):
            await it.activate()
        assert (len(stream.leases), it.readers()) == (1, 1)
    assert (len(stream.leases), it.readers()) == (0, 0)
    with pytest.raises(TierUnavailable):
        await it.activate()

"""Publishers that the agent runs: real programs, a path that the test makes live, and time that it moves."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import (
    AgentError,
    CaptureFailed,
    FfmpegFailed,
    MediaServerUnavailable,
    Unsupported,
)
from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import RuntimePath
from agent_core.plugin import Publisher
from agent_core.streams.publishers.liveness import FIRST_PAUSE_S
from agent_core.streams.publishers.pool import Publishers
from agent_core.streams.publishers.runner import PublisherRunner, publish_command
from agent_core.testing import SimulatedClock

CAMERA = CameraId("camera0")
SLEEPS = ("sleep", "600")
IGNORES_SIGNALS = ("sh", "-c", "trap '' INT TERM; while :; do sleep 1; done")


class Scene:
    """A camera and its path. `live` and `inbound_bytes` are what the server says; with `problem`, it says that."""

    def __init__(self, argv: tuple[str, ...] = SLEEPS) -> None:
        self.clock = SimulatedClock()
        self.argv = argv
        self.live = False
        self.inbound_bytes = 0
        self.unprepared: AgentError | None = None
        self.unanswered: AgentError | None = None
        self.prepared = 0
        self.lives = 0
        self.is_read = False

    def runner(self, camera: CameraId = CAMERA) -> PublisherRunner:
        self.made = PublisherRunner(
            camera,
            prepare=self.prepare,
            look=self.look,
            start_timeout_s=5.0,
            on_live=self.on_live,
            clock=self.clock,
        )
        return self.made

    async def prepare(self) -> tuple[str, ...]:
        self.prepared += 1
        if self.unprepared is not None:
            raise self.unprepared
        return self.argv

    async def look(self) -> RuntimePath:
        if self.unanswered is not None:
            raise self.unanswered
        return RuntimePath(name=CAMERA, live=self.live, inbound_bytes=self.inbound_bytes)

    def on_live(self) -> None:
        self.lives += 1

    async def read(self, camera: CameraId) -> bool:
        return self.is_read

    async def pass_s(self, duration_s: int, *, bytes_per_s: int = 1000) -> None:
        for _ in range(duration_s):
            self.inbound_bytes += bytes_per_s
            await self.clock.advance(1.0)


@asynccontextmanager
async def running(runner: PublisherRunner) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tg:
        tg.start_soon(runner.run)
        yield
        tg.cancel_scope.cancel()


async def started(runner: PublisherRunner, number: int = 1) -> int:
    """The process id of that many-th program."""
    with anyio.fail_after(20):
        while runner.process is None or runner.spawned < number:
            await anyio.sleep(0.005)
    return runner.process.pid


async def ended(runner: PublisherRunner) -> None:
    with anyio.fail_after(20):
        while runner.process is not None:
            await anyio.sleep(0.005)


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").exists()


async def test_it_is_live_when_the_server_says_so() -> None:
    scene = Scene()
    runner = scene.runner()
    async with running(runner):
        pid = await started(runner)
        with anyio.move_on_after(0.05) as early:
            await runner.wait_live()
        assert early.cancelled_caught
        scene.live, scene.inbound_bytes = True, 1000
        async with anyio.create_task_group() as tg:
            tg.start_soon(runner.wait_live)
            await scene.clock.advance(0.5)
        assert scene.lives == 1
        await scene.pass_s(60)
        assert (runner.spawned, runner.process and runner.process.pid) == (1, pid)
    assert not is_alive(pid)
    assert runner.process is None


def pauses(scene: Scene) -> list[float]:
    """Those between two programs; the looks at a path while one starts come faster."""
    return [each for each in scene.clock.sleeps if each >= FIRST_PAUSE_S]


async def test_a_program_that_exits_at_once_is_no_storm() -> None:
    scene = Scene(("sh", "-c", "exit 3"))
    runner = scene.runner()
    async with running(runner):
        for number in range(1, 9):
            with anyio.fail_after(20):
                while len(pauses(scene)) < number:
                    await anyio.sleep(0.005)
            assert runner.spawned == number
            if number < 8:
                await scene.clock.advance(pauses(scene)[-1])
        assert pauses(scene) == [0.5, 1, 2, 4, 8, 10, 10, 10]
        with pytest.raises(FfmpegFailed) as caught:
            await runner.wait_live()
        assert caught.value.reason == "ffmpeg_failed"
        count = runner.spawned
        for _ in range(100):  # whoever asks again and again starts nothing
            with pytest.raises(FfmpegFailed):
                await runner.wait_live()
        assert runner.spawned == count


async def test_a_program_that_cannot_be_started_is_an_attempt_that_failed() -> None:
    """As without a free descriptor or process: the kernel says no before there is a child."""
    scene = Scene((*SLEEPS, "x" * 200_000))
    runner = scene.runner()
    async with running(runner):
        with anyio.fail_after(20), pytest.raises(FfmpegFailed) as caught:
            await runner.wait_live()
        assert caught.value.reason == "publisher_not_started"
        assert "Argument list too long" in caught.value.details
        scene.argv = SLEEPS
        with anyio.fail_after(20):
            while runner.process is None:
                await scene.clock.advance(0.5)
    assert runner.spawned == 1


async def test_a_program_that_falls_silent_is_ended_within_ten_seconds_and_replaced() -> None:
    scene = Scene(IGNORES_SIGNALS)
    runner = scene.runner()
    async with running(runner):
        pid = await started(runner)
        scene.live = True
        await scene.pass_s(20)
        await scene.pass_s(10, bytes_per_s=0)
        await ended(runner)
        assert not is_alive(pid)
        with pytest.raises(FfmpegFailed) as caught:
            await runner.wait_live()
        assert caught.value.reason == "publisher_silent"
        await scene.clock.advance(0.5)
        assert await started(runner, 2) != pid


async def test_a_stream_that_never_comes_up_is_ended() -> None:
    scene = Scene()
    runner = scene.runner()
    async with running(runner):
        await started(runner)
        async with anyio.create_task_group() as tg:
            failed: list[str] = []

            async def wait() -> None:
                try:
                    await runner.wait_live()
                except FfmpegFailed as error:
                    failed.append(error.reason)

            tg.start_soon(wait)
            await scene.clock.advance(6)
        assert failed == ["start_timed_out"]
        assert scene.lives == 0


async def test_a_killed_program_is_replaced_soon() -> None:
    scene = Scene()
    runner = scene.runner()
    async with running(runner):
        pid = await started(runner)
        scene.live = True
        await scene.pass_s(20)
        os.kill(pid, signal.SIGKILL)
        await ended(runner)
        with pytest.raises(FfmpegFailed) as caught:
            await runner.wait_live()
        assert caught.value.reason == "ffmpeg_killed"
        await scene.clock.advance(0.5)
        assert await started(runner, 2) != pid


async def test_a_server_that_hangs_costs_no_publisher() -> None:
    scene = Scene()
    runner = scene.runner()
    async with running(runner):
        await started(runner)
        scene.live = True
        await scene.pass_s(5)
        scene.unanswered = MediaServerUnavailable("It hangs.")
        await scene.pass_s(60, bytes_per_s=0)
        scene.unanswered = None
        await scene.pass_s(5)
        assert runner.spawned == 1


async def test_while_the_camera_is_gone_nothing_is_started_and_its_return_is_not_waited_for() -> None:
    scene = Scene()
    scene.unprepared = CaptureFailed("It is gone.", reason="camera_disconnected")
    runner = scene.runner()
    async with running(runner):
        for _ in range(30):
            await scene.clock.advance(1.0)
        assert runner.spawned == 0
        assert 25 <= scene.prepared <= 35
        with pytest.raises(CaptureFailed):
            await runner.wait_live()
        scene.unprepared, scene.live, scene.inbound_bytes = None, True, 10
        with anyio.fail_after(20):
            await runner.wait_live()  # time stands still
        assert runner.spawned == 1


async def test_a_program_that_is_missing_is_said() -> None:
    runner = Scene(("/nowhere/ffmpeg",)).runner()
    async with running(runner):
        with pytest.raises(FfmpegFailed) as caught:
            await runner.wait_live()
    assert caught.value.reason == "ffmpeg_missing"
    assert runner.spawned == 0


@pytest.mark.parametrize(
    "said",
    [
        "[rtsp @ 0x5] method ANNOUNCE failed: 401 Unauthorized",
        "Could not write header for output file #0 (incorrect codec parameters ?): Server returned 401 Unauthorized",
    ],
)
async def test_a_server_that_wants_a_password_is_said(said: str) -> None:
    program = f"import sys; sys.stderr.write({said!r}); sys.exit(1)"
    runner = Scene((sys.executable, "-c", program)).runner()
    async with running(runner):
        with pytest.raises(Unsupported) as caught:
            await runner.wait_live()
    assert (caught.value.feature, caught.value.reason) == (
        "publisher_credentials",
        "publish_needs_credentials",
    )


def test_an_address_with_a_password_never_becomes_an_argument() -> None:
    publisher = Publisher(("ffmpeg", "-i", "x"), "ffmpeg")
    assert publish_command(publisher, "rtsp://h:1/camera0") == ("ffmpeg", "-i", "x", "rtsp://h:1/camera0")
    with pytest.raises(Unsupported) as caught:
        publish_command(publisher, "rtsp://me:hidden@h:1/camera0")
    assert "hidden" not in str(caught.value)


@asynccontextmanager
async def pool(scene: Scene, *, close_after_s: float = 10.0) -> AsyncIterator[Publishers]:
    publishers = Publishers(scene.runner, is_read=scene.read, close_after_s=close_after_s, clock=scene.clock)
    async with anyio.create_task_group() as tg:
        await tg.start(publishers.run)
        yield publishers
        tg.cancel_scope.cancel()


@pytest.fixture
def live_scene() -> Scene:
    scene = Scene()
    scene.live, scene.inbound_bytes = True, 10
    return scene


async def test_it_is_kept_warm_after_the_last_lease(live_scene: Scene) -> None:
    async with pool(live_scene) as publishers:
        with anyio.fail_after(20):
            with publishers.lease(CAMERA), publishers.lease(CAMERA):
                await publishers.wait_live(CAMERA)
            process = publishers.process(CAMERA)
            assert process is not None
            await live_scene.pass_s(9)
            assert publishers.process(CAMERA) == process
            with publishers.lease(CAMERA):
                await publishers.wait_live(CAMERA)
                await live_scene.pass_s(30)
            await live_scene.pass_s(9)
            assert publishers.process(CAMERA) == process
            await live_scene.clock.advance(1.1)
            while publishers.process(CAMERA):
                await anyio.sleep(0.005)
    assert not is_alive(process.pid)
    assert live_scene.made.spawned == 1


async def test_it_goes_on_while_somebody_reads(live_scene: Scene) -> None:
    live_scene.is_read = True
    async with pool(live_scene) as publishers:
        with anyio.fail_after(20):
            with publishers.lease(CAMERA):
                await publishers.wait_live(CAMERA)
            await live_scene.pass_s(60)
            assert publishers.process(CAMERA)
            live_scene.is_read = False
            await live_scene.pass_s(21)
            while publishers.process(CAMERA):
                await anyio.sleep(0.005)


async def test_who_comes_while_it_ends_gets_a_new_one(live_scene: Scene) -> None:
    live_scene.argv = IGNORES_SIGNALS
    async with pool(live_scene, close_after_s=1.0) as publishers:
        with anyio.fail_after(20):
            with publishers.lease(CAMERA):
                await publishers.wait_live(CAMERA)
            first = publishers.process(CAMERA)
            await live_scene.clock.advance(1.1)
            with publishers.lease(CAMERA):
                await publishers.wait_live(CAMERA)
                second = publishers.process(CAMERA)
                assert first
                assert second
                assert second.pid != first.pid
                assert not is_alive(first.pid)


async def test_one_that_fails_while_nobody_leases_it_is_not_started_again(live_scene: Scene) -> None:
    async with pool(live_scene) as publishers:
        with anyio.fail_after(20):
            with publishers.lease(CAMERA):
                await publishers.wait_live(CAMERA)
            process = publishers.process(CAMERA)
            assert process is not None
            os.kill(process.pid, signal.SIGKILL)
            while publishers.process(CAMERA):
                await anyio.sleep(0.005)
            await live_scene.pass_s(5)
            assert live_scene.made.spawned == 1

import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import (
    AgentError,
    CameraMode,
    CapturedAtSource,
    CaptureFailed,
    Fingerprint,
    FrameSocket,
    ffmpeg,
    jpeg,
)
from agent_core.plugin.frames import FrameBroker
from agent_core.testing.contracts import children
from virtual_camera import VirtualCameraPlugin, burnt_in
from virtual_camera.settings import VirtualCameraSettings

#: Type of the fixture `watch` of conftest.py.
Watch = Callable[..., AbstractAsyncContextManager[Any]]

SMALL = {"name": "Front door", "width": 160, "height": 120, "fps": 30}


def broker_of(watched: Any, number: int = 0) -> FrameBroker:
    broker = watched.source.cameras[number].broker
    assert isinstance(broker, FrameBroker)
    return broker


async def test_a_camera_is_reported_with_all_that_is_known(watch: Watch) -> None:
    async with watch(cameras=[{**SMALL, "id": "camera7", "serial": "A1"}]) as watched:
        camera = watched.report.cameras["A1"]
        assert camera.name == "Front door"
        assert camera.fingerprint == Fingerprint(source="virtual_camera", serial="A1")
        assert camera.configured_id == "camera7"
        assert (camera.resolution, camera.fps) == ((160, 120), 30.0)
        assert camera.modes == (CameraMode("MJPG", 160, 120, (30.0,)),)
        assert isinstance(camera.media_input, FrameSocket)
        assert (camera.media_input.width, camera.media_input.height, camera.media_input.fps) == (
            160,
            120,
            30.0,
        )
        assert camera.media_input.path.is_socket()
        assert camera.frames is broker_of(watched)
        assert watched.source.name == "virtual_camera"


async def test_nothing_runs_before_somebody_wants_a_picture(watch: Watch) -> None:
    before = children()
    async with watch():
        assert children() == before


async def test_stopping_ends_ffmpeg_and_removes_the_socket(watch: Watch) -> None:
    before = children()
    async with watch(cameras=[SMALL]) as watched:
        await broker_of(watched).fresh(0.0)
        assert len(children() - before) == 1
        socket = watched.report.cameras["front-door"].media_input.path
    assert children() == before
    assert not socket.exists()


async def test_a_fresh_frame_was_drawn_after_the_call(watch: Watch, agent: Any, program: str) -> None:
    agent.ffmpeg = program
    async with watch(cameras=[SMALL]) as watched:
        clock, broker = agent.clock, broker_of(watched)
        counters = []
        for _ in range(25):
            called_at, called_s = datetime.now(UTC), clock.monotonic_s()
            frame = await broker.fresh(called_s)
            mark = burnt_in.read(frame.data)
            assert mark.drawn_at > called_at - timedelta(milliseconds=1)
            assert mark.drawn_at <= datetime.now(UTC)
            assert called_s <= frame.captured_s <= clock.monotonic_s()
            assert frame.captured_at_source is CapturedAtSource.DEVICE
            assert (frame.width, frame.height) == (160, 120)
            counters.append(mark.counter)
        assert all(earlier < later for earlier, later in pairwise(counters))
        assert broker.stats.starts == 1
        assert broker.stats.dropped == ()


async def test_a_camera_without_times_is_fresh_too(watch: Watch) -> None:
    async with watch(cameras=[{**SMALL, "timestamps": "arrival"}]) as watched:
        for _ in range(3):
            called_at = datetime.now(UTC)
            frame = await broker_of(watched).fresh(watched.agent.clock.monotonic_s())
            assert burnt_in.read(frame.data).drawn_at > called_at - timedelta(milliseconds=1)
            assert frame.captured_at_source is CapturedAtSource.ARRIVAL


async def test_two_cameras_are_independent(watch: Watch) -> None:
    other = {"name": "Yard", "width": 320, "height": 240, "fps": 10}
    async with watch(cameras=[SMALL, other]) as watched:
        assert watched.report.history == [("connected", "front-door"), ("connected", "yard")]
        first, second = broker_of(watched, 0), broker_of(watched, 1)
        frames = [await first.after(30), await second.fresh(0.0)]
        assert [(frame.width, frame.height) for frame in frames] == [(160, 120), (320, 240)]
        earlier, later = [burnt_in.read(frame.data).counter for frame in frames]
        assert earlier > later  # each counts its own pictures
        sockets = {camera.media_input.path for camera in watched.report.cameras.values()}
        assert len(sockets) == 2
        watched.source.cameras[0].faults.vanish()
        await watched.report.wait_count(3)
        called_s = watched.agent.clock.monotonic_s()
        assert (await second.fresh(called_s)).captured_s >= called_s


async def test_ffmpeg_reads_the_frame_socket(watch: Watch, program: str) -> None:
    async with watch(cameras=[SMALL]) as watched:
        path = watched.report.cameras["front-door"].media_input.path
        read = ("-fpsprobesize", "0", "-rw_timeout", "4000000", "-f", "matroska", "-i", f"unix:{path}")
        copy = ("-frames:v", "10", "-fps_mode", "passthrough", "-c:v", "copy", "-f", "mjpeg", "pipe:1")
        output = await ffmpeg.run(program, (*read, *copy))
    marks = []
    while output:
        size = output.index(b"\xff\xd9") + 2
        jpeg.inspect(output[:size])
        marks.append(burnt_in.read(output[:size]).counter)
        output = output[size:]
    assert len(marks) == 10
    assert all(earlier < later for earlier, later in pairwise(marks))


async def test_a_vanished_camera_is_disconnected_and_its_readers_are_told(watch: Watch) -> None:
    async with watch(cameras=[SMALL]) as watched:
        (camera,) = watched.source.cameras
        broker, path = broker_of(watched), watched.report.cameras["front-door"].media_input.path
        errors: list[CaptureFailed] = []

        async def read() -> None:
            try:
                await broker.fresh(float("inf"))
            except CaptureFailed as error:
                errors.append(error)

        async with anyio.create_task_group() as tg:
            for _ in range(3):
                tg.start_soon(read)
            await broker.after(0)
            camera.faults.vanish()
        assert [error.reason for error in errors] == ["camera_removed"] * 3
        assert watched.report.history == [("connected", "front-door"), ("disconnected", "front-door")]
        while path.exists():
            await anyio.sleep(0.01)
        assert camera.broker is None
        with pytest.raises(CaptureFailed) as caught:
            await broker.fresh(0.0)
        assert caught.value.reason == "camera_removed"


async def test_it_comes_back_as_the_same_camera_and_counts_on(watch: Watch) -> None:
    async with watch(cameras=[SMALL]) as watched:
        (camera,) = watched.source.cameras
        before = watched.report.cameras["front-door"]
        last = burnt_in.read((await broker_of(watched).after(2)).data).counter
        camera.faults.vanish()
        await watched.report.wait_count(2)
        camera.faults.come_back()
        await watched.report.wait_count(3)
        after = watched.report.cameras["front-door"]
        assert after == before
        assert after.frames is not before.frames
        frame = await after.frames.fresh(watched.agent.clock.monotonic_s())
        assert burnt_in.read(frame.data).counter > last
        assert after.media_input.path.is_socket()


async def test_even_the_shortest_absence_is_reported(watch: Watch) -> None:
    async with watch(cameras=[SMALL]) as watched:
        (camera,) = watched.source.cameras
        await anyio.wait_all_tasks_blocked()
        camera.faults.vanish()
        camera.faults.come_back()
        await watched.report.wait_count(3)
        assert [what for what, _ in watched.report.history] == ["connected", "disconnected", "connected"]


async def test_a_stall_fails_the_reader_and_passes(watch: Watch) -> None:
    async with watch(cameras=[SMALL]) as watched:
        (camera,) = watched.source.cameras
        broker = broker_of(watched)
        last = burnt_in.read((await broker.fresh(0.0)).data).counter
        camera.faults.stall()
        with pytest.raises(CaptureFailed) as caught:
            await broker.fresh(watched.agent.clock.monotonic_s())
        assert caught.value.reason == "camera_stalled"
        camera.faults.stall(enabled=False)
        assert burnt_in.read((await broker.after(broker.stats.frames)).data).counter > last
        assert broker.stats.stalls == 1
        assert broker.problem is None


async def test_corrupt_frames_are_never_served(watch: Watch) -> None:
    async with watch(cameras=[SMALL]) as watched:
        (camera,) = watched.source.cameras
        broker = broker_of(watched)
        await broker.fresh(0.0)
        camera.faults.corrupt()
        with pytest.raises(CaptureFailed) as caught:
            await broker.fresh(watched.agent.clock.monotonic_s())
        assert caught.value.reason == "frames_damaged"
        ((reason, count),) = broker.stats.dropped
        assert reason == "damaged"
        assert count > 10
        camera.faults.corrupt(enabled=False)
        burnt_in.read((await broker.after(broker.stats.frames)).data)


async def test_a_killed_ffmpeg_is_started_again_and_nobody_hangs(watch: Watch) -> None:
    others = children()
    async with watch(cameras=[SMALL]) as watched:
        broker = broker_of(watched)
        last = burnt_in.read((await broker.fresh(0.0)).data).counter
        for kills in range(1, 4):
            (child,) = children() - others
            os.kill(child, signal.SIGKILL)
            with pytest.raises(CaptureFailed) as caught:
                await broker.fresh(float("inf"))
            assert caught.value.reason == "ffmpeg_killed"
            frame = await broker.after(broker.stats.frames)
            counter = burnt_in.read(frame.data).counter
            assert counter > last
            last = counter
            assert broker.stats.failures == kills


async def test_a_stopped_ffmpeg_is_a_stall(watch: Watch) -> None:
    others = children()
    async with watch(cameras=[SMALL]) as watched:
        broker = broker_of(watched)
        await broker.fresh(0.0)
        (child,) = children() - others
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(CaptureFailed) as caught:
            await broker.fresh(float("inf"))
        assert caught.value.reason == "camera_stalled"
        await broker.after(broker.stats.frames)
        assert child not in children()


async def test_without_ffmpeg_the_camera_is_there_and_captures_say_why_not(watch: Watch, agent: Any) -> None:
    agent.ffmpeg = "/nowhere/ffmpeg"
    async with watch(cameras=[SMALL]) as watched:
        assert watched.report.history == [("connected", "front-door")]
        with pytest.raises(CaptureFailed) as caught:
            await broker_of(watched).fresh(0.0)
    assert (caught.value.reason, caught.value.dependency) == ("ffmpeg_missing", "ffmpeg")
    assert "Install FFmpeg" in caught.value.suggestion


async def test_a_slow_camera_is_not_taken_for_a_stalled_one(watch: Watch) -> None:
    async with watch(cameras=[{**SMALL, "fps": 0.2}]) as watched:
        broker = broker_of(watched)
        first = await broker.fresh(0.0)
        second = await broker.after(first.sequence)
        assert broker.stats.stalls == 0
        assert second.captured_s - first.captured_s > 4


async def test_what_keeps_it_from_starting_is_said_in_a_sentence(
    agent: Any, report: Any, tmp_path: Path
) -> None:
    agent.runtime_dir = tmp_path / ("x" * 120)
    (source,) = VirtualCameraPlugin(VirtualCameraSettings()).agent_camera_sources(agent)
    with pytest.raises(AgentError) as caught:
        await source.watch(report)
    assert caught.value.reason == "socket_path_too_long"
    assert "runtime_dir" in caught.value.suggestion
    assert report.history == []

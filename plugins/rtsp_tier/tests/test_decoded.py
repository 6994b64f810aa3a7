"""Tier 0 of cameras with coded video, with the real worker and frame sockets with faults."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from agent_core.plugin import (
    Camera,
    CapturedAtSource,
    CaptureFailed,
    CaptureRequest,
    DetectedCamera,
    DeviceState,
    Fingerprint,
    FrameSocket,
    MediaInput,
    Picture,
    TierUnavailable,
    Url,
    VideoCodec,
)
from agent_core.testing import FakeAgent, SystemClock, as_camera, children
from agent_core.testing.waiting import eventually
from rtsp_tier.component import RtspTierComponent
from rtsp_tier.settings import RtspTierSettings
from rtsp_tier.tiers import DecodedFramesTier
from tests.odd.coded_camera import CodedCamera, encoded, number_in

LIMIT_S = 30.0
STALLED = CaptureFailed("The camera delivered no picture for 4 s.", reason="camera_stalled")


@dataclass
class Device:
    """Device behind a frame socket."""

    device: DeviceState = field(default_factory=DeviceState)


def camera_at(path: Path, device: Device | None = None, *, media_input: MediaInput | None = None) -> Camera:
    socket = FrameSocket(path, 288, 96, 25, VideoCodec.H264)
    detected = DetectedCamera(
        path.stem, "Test", Fingerprint("test", path.stem), media_input or socket, device=device
    )
    return as_camera(detected, path.stem)


async def take(
    tier: DecodedFramesTier, camera: Camera, *, max_age_s: float = 0.0, limit_s: float = LIMIT_S
) -> Picture:
    now_s = time.monotonic()
    return await tier.capture(camera, CaptureRequest(now_s - max_age_s, now_s + limit_s))


@asynccontextmanager
async def running_tier(folder: Path, **settings: float) -> AsyncIterator[DecodedFramesTier]:
    agent = FakeAgent(folder, clock=SystemClock())
    component = RtspTierComponent.assemble(agent, RtspTierSettings.model_validate(settings))
    async with anyio.create_task_group() as tasks:
        await tasks.start(component.run)
        yield component.decoded
        tasks.cancel_scope.cancel()


async def until_left(source: CodedCamera) -> None:
    async def has_left() -> bool:
        return source.open == 0

    await eventually(has_left, timeout_s=LIMIT_S)


async def test_twenty_pictures_in_a_row_open_the_socket_once(tmp_path: Path) -> None:
    source = CodedCamera(encoded())
    path = tmp_path / "camera0.sock"
    async with source.serving(path), running_tier(tmp_path) as tier:
        for _ in range(20):
            asked_s = time.monotonic()
            picture = await take(tier, camera_at(path))
            assert picture.captured_at_source is CapturedAtSource.DEVICE
            assert asked_s <= picture.captured_s <= source.latest_exposure_s(number_in(picture.data)) + 1e-5
    assert source.connections == 1


async def test_two_cameras_are_photographed_at_once(tmp_path: Path) -> None:
    sources = [CodedCamera(encoded()), CodedCamera(encoded("h265"))]
    paths = [tmp_path / f"camera{number}.sock" for number in range(2)]
    taken: list[Picture] = []

    async with sources[0].serving(paths[0]), sources[1].serving(paths[1]), running_tier(tmp_path) as tier:

        async def photograph(path: Path) -> None:
            taken.extend([await take(tier, camera_at(path)) for _ in range(5)])

        async with anyio.create_task_group() as tasks:
            for path in paths:
                tasks.start_soon(photograph, path)
    assert (len(taken), [each.connections for each in sources]) == (10, [1, 1])


async def test_the_reader_leaves_the_camera_soon_after_the_last_picture(tmp_path: Path) -> None:
    source = CodedCamera(encoded())
    path = tmp_path / "camera0.sock"
    async with source.serving(path), running_tier(tmp_path, keep_warm_s=0.2) as tier:
        await take(tier, camera_at(path))
        await until_left(source)
        await take(tier, camera_at(path))
        await until_left(source)
    assert source.connections == 2


@pytest.mark.parametrize("silent_after", [None, 0])
async def test_a_camera_that_fails_gives_its_own_reason(tmp_path: Path, silent_after: int | None) -> None:
    source = CodedCamera(encoded(), silent_after=silent_after, cut_after=0)
    device = Device(DeviceState(problem=STALLED, since_s=0.0))
    path = tmp_path / "camera0.sock"
    async with source.serving(path), running_tier(tmp_path) as tier:
        with pytest.raises(CaptureFailed) as caught:
            await take(tier, camera_at(path, device), limit_s=3.0)
        assert (caught.value.reason, caught.value.details) == ("camera_stalled", STALLED.details)
        await until_left(source)


@pytest.mark.parametrize(
    ("silent_after", "cut_after", "reason"), [(None, 0, "stream_ended"), (0, None, "timed_out")]
)
async def test_a_camera_that_names_no_reason_gives_that_of_its_video(
    tmp_path: Path, silent_after: int | None, cut_after: int | None, reason: str
) -> None:
    source = CodedCamera(encoded(), silent_after=silent_after, cut_after=cut_after)
    path = tmp_path / "camera0.sock"
    async with source.serving(path), running_tier(tmp_path) as tier:
        with pytest.raises(CaptureFailed) as caught:
            await take(tier, camera_at(path, Device()), limit_s=2.0)
        assert caught.value.reason == reason
        assert "camera" in caught.value.details


async def test_a_camera_that_is_unplugged_says_so(tmp_path: Path) -> None:
    async with running_tier(tmp_path) as tier:
        with pytest.raises(CaptureFailed) as caught:
            await take(tier, camera_at(tmp_path / "camera0.sock"))
        assert caught.value.reason == "camera_removed"


async def test_a_picture_survives_the_end_of_the_clients_when_the_camera_changes_its_size(
    tmp_path: Path,
) -> None:
    path = tmp_path / "camera0.sock"
    async with running_tier(tmp_path) as tier:
        async with CodedCamera(encoded()).serving(path):
            first = await take(tier, camera_at(path))
        async with CodedCamera(encoded(size=(576, 192))).serving(path):
            second = await take(tier, camera_at(path))
    assert [(each.width, each.height) for each in (first, second)] == [(288, 96), (576, 192)]


async def test_a_worker_that_is_killed_amid_a_picture_fails_it_and_the_next_one_works(tmp_path: Path) -> None:
    source = CodedCamera(encoded())
    path = tmp_path / "camera0.sock"
    device = Device()
    async with source.serving(path), running_tier(tmp_path) as tier:
        before = set(children())
        await take(tier, camera_at(path, device))
        (worker,) = set(children()) - before
        reasons: list[str] = []

        async def fail() -> None:
            with pytest.raises(CaptureFailed) as caught:
                await take(tier, camera_at(path, device), max_age_s=-LIMIT_S / 2)
            reasons.append(caught.value.reason)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            await anyio.wait_all_tasks_blocked()
            device.device = DeviceState(problem=STALLED)  # it is not the reason
            os.kill(worker, signal.SIGKILL)
        assert reasons == ["worker_failed"]
        device.device = DeviceState()
        assert (await take(tier, camera_at(path, device))).captured_at_source is CapturedAtSource.DEVICE


async def test_cameras_with_jpegs_or_other_inputs_are_left_to_other_tiers(tmp_path: Path) -> None:
    async with running_tier(tmp_path) as tier:
        jpegs = FrameSocket(tmp_path / "camera0.sock", 320, 240, 15)
        assert tier.supports(camera_at(tmp_path / "camera0.sock"))
        for other in (jpegs, Url("rtsp://127.0.0.1/x")):
            camera = camera_at(tmp_path / "camera0.sock", media_input=other)
            assert not tier.supports(camera)
            with pytest.raises(TierUnavailable):
                await take(tier, camera)

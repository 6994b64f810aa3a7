"""Connected cameras that fail: detected without an event, reported, and cleared once they work again."""

import anyio
import pytest

from agent_core.base.models import Camera, CameraStatus
from agent_core.plugin import CaptureFailed
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam
from tests.vm.guest.sources import Watching, watching
from tests.vm.guest.vivid import LoadVivid

FAST = Layout(mjpeg=(FrameSize(320, 240, (10,)),), yuyv=())
#: Time limit: the recovery steps take seconds, and the broker's pauses grow to 8 s.
TROUBLE_LIMIT_S = 120


async def need(camera: Camera) -> None:
    """Request pictures continuously, like a live stream."""
    assert camera.frames is not None
    while True:
        try:
            await camera.frames.fresh(anyio.current_time())
        except CaptureFailed:
            await anyio.sleep(0.2)


async def is_picture_fresh(camera: Camera) -> bool:
    assert camera.frames is not None
    asked_s = anyio.current_time()
    with anyio.fail_after(TROUBLE_LIMIT_S):
        frame = await camera.frames.fresh(asked_s)
    return frame.captured_s >= asked_s


async def until_status(seen: Watching, status: CameraStatus) -> Camera:
    with anyio.fail_after(TROUBLE_LIMIT_S):
        (camera,) = await seen.until(lambda cameras: [each.status for each in cameras] == [status])
    return camera


async def test_a_stalling_webcam_is_an_error_and_recovers(webcam: PlugWebcam) -> None:
    async with webcam(FAST) as camera, watching() as seen:
        (found,) = await seen.until_connected(1)
        async with anyio.create_task_group() as tg:
            assert await is_picture_fresh(found)
            tg.start_soon(need, found)
            await camera.set_fault("stall")
            failed = await until_status(seen, CameraStatus.ERROR)
            assert "no picture" in failed.problem
            await camera.set_fault(None)
            await until_status(seen, CameraStatus.CONNECTED)
            assert await is_picture_fresh(found)
            tg.cancel_scope.cancel()
    assert {said.camera.id for said in seen.said} == {found.id}


async def test_it_recovers_without_anybody_asking(webcam: PlugWebcam) -> None:
    async with webcam(FAST) as camera, watching() as seen:
        (found,) = await seen.until_connected(1)
        await camera.set_fault("stall")
        with pytest.raises(CaptureFailed):
            await is_picture_fresh(found)
        await until_status(seen, CameraStatus.ERROR)
        await camera.set_fault(None)
        await until_status(seen, CameraStatus.CONNECTED)


async def test_vivids_disconnect_is_noticed_without_an_event(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,), watching(defaults={"width": 320, "height": 180}) as seen:
        (found,) = await seen.until_connected(1)
        assert await is_picture_fresh(found)
        async with anyio.create_task_group() as tg:
            tg.start_soon(need, found)
            await camera.inject("disconnect")
            await until_status(seen, CameraStatus.ERROR)
            await until_status(seen, CameraStatus.CONNECTED)
            assert await is_picture_fresh(found)
            tg.cancel_scope.cancel()
        assert "camera.disconnected" not in [said.topic for said in seen.said]


async def test_unplugged_in_mid_stream_and_back(webcam: PlugWebcam) -> None:
    async with watching() as seen:
        async with webcam(FAST):
            (found,) = await seen.until_connected(1)
            assert await is_picture_fresh(found)
        await seen.until_connected(0)
        with pytest.raises(CaptureFailed):
            await is_picture_fresh(found)
        async with webcam(FAST):
            (again,) = await seen.until_connected(1)
            assert again.id == found.id
            assert await is_picture_fresh(again)


async def test_a_camera_that_answers_nothing_is_listed_and_asked_again(webcam: PlugWebcam) -> None:
    async with webcam(FAST) as camera:
        await camera.set_fault("hang")
        async with watching() as seen:
            failed = await until_status(seen, CameraStatus.ERROR)
            assert "did not answer" in failed.problem or "ETIMEDOUT" in failed.problem
            await camera.set_fault(None)
            again = await until_status(seen, CameraStatus.CONNECTED)
            assert again.id == failed.id
            assert await is_picture_fresh(again)

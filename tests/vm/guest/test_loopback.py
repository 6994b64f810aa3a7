"""Devices of v4l2loopback: cameras while a program writes to them, with what it writes then."""

from collections.abc import Iterable

import anyio
import pytest

from agent_core.base.models import Camera, CameraStatus
from agent_core.plugin import CaptureFailed
from tests.vm.guest.cameras import Root
from tests.vm.guest.captured import PATIENCE_S
from tests.vm.guest.loopback import LoadLoopback, loaded_loopback, writing
from tests.vm.guest.sources import Watching, watching
from tests.vm.guest.test_source_trouble import until_status

#: A device without hardware is closed when its stream ends.
CLOSED_AT_ONCE = {"warm_ttl_s": 0}


@pytest.fixture
def loopback(root: Root) -> LoadLoopback:
    return loaded_loopback(root)


async def sizes(seen: Watching, cameras: Iterable[Camera]) -> list[tuple[int, int]]:
    """Return the size of a fresh picture of each camera."""
    found = []
    for camera in cameras:
        frame = await fresh(seen, camera.id)
        found.append(frame)
    return found


async def fresh(seen: Watching, camera: str) -> tuple[int, int]:
    """Return the size of the next picture, through the broker's pauses and new brokers."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            frames = seen.registry.get(camera).frames
            try:
                if frames is not None:
                    frame = await frames.fresh(seen.clock.monotonic_s())
                    return frame.width, frame.height
            except CaptureFailed:
                pass
            await anyio.sleep(0.2)


async def test_devices_become_cameras_when_their_writers_start(loopback: LoadLoopback) -> None:
    async with (
        loopback(Late=True, Shared=False) as (late, shared),
        watching(reconcile_s=2, defaults=CLOSED_AT_ONCE) as seen,
    ):
        assert seen.registry.list() == []
        async with writing(late, "160x120", "yuv420p"), writing(shared, "320x240", "yuyv422"):
            cameras = await seen.until_connected(2)
            assert {camera.name for camera in cameras} == {"Late", "Shared"}
            by_name = sorted(cameras, key=lambda camera: camera.name)
            assert await sizes(seen, by_name) == [(160, 120), (320, 240)]
        with anyio.fail_after(PATIENCE_S):
            await seen.until_connected(0)
        for camera in seen.registry.list():
            assert camera.status is CameraStatus.ERROR
            assert "no program" in camera.problem


async def test_a_writer_that_comes_back_with_another_picture_is_followed(loopback: LoadLoopback) -> None:
    """Not while the device is open: the driver then keeps its format, whatever comes."""
    async with (
        loopback(Screen=True) as (node,),
        watching(reconcile_s=2, defaults=CLOSED_AT_ONCE) as seen,
    ):
        async with writing(node, "320x240", "yuv420p"):
            (camera,) = await seen.until_connected(1)
            assert await fresh(seen, camera.id) == (320, 240)
        gone = await until_status(seen, CameraStatus.ERROR)
        assert "no program" in gone.problem
        async with writing(node, "160x120", "yuyv422"):
            assert await fresh(seen, camera.id) == (160, 120)
            (again,) = await seen.until_connected(1)
            assert again.id == camera.id

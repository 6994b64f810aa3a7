"""Behaviour of the kernel's test driver that the tests of raw formats and errors rely on."""

from pathlib import Path

import anyio

from tests.vm.guest.monitor import streaming, udev_events, until_ended
from tests.vm.guest.programs import listed_formats, output_of, udev_properties
from tests.vm.guest.vivid import LoadVivid

LIMIT_S = 60


async def test_its_cameras_share_a_path_and_have_no_serial(vivid: LoadVivid) -> None:
    async with vivid(2) as (first, second):
        properties = [await udev_properties(each.node) for each in (first, second)]
        assert properties[0]["ID_PATH"] == properties[1]["ID_PATH"] == "platform-vivid.0"
        assert all("ID_SERIAL" not in each for each in properties)
        assert all(each["ID_V4L_CAPABILITIES"].startswith(":capture:") for each in properties), properties
        for each in (first, second):
            assert each.bus_info in await output_of("v4l2-ctl", "-d", each.node, "--info")
    assert not first.node.exists()


async def test_its_formats_are_raw(vivid: LoadVivid) -> None:
    async with vivid() as (camera,):
        formats = {fourcc for fourcc, _, _ in await listed_formats(camera.node)}
    assert {"YUYV", "NV12", "RGB3", "GREY"} <= formats
    assert not {"MJPG", "JPEG"} & formats


async def test_disconnect_ends_a_stream_and_leaves_the_node(vivid: LoadVivid) -> None:
    async with vivid() as (camera,):
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                await next_buffer()
                await camera.inject("disconnect")
                await until_ended(next_buffer)
        assert camera.node.exists()
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                await next_buffer()


async def test_a_buffer_can_be_flagged(vivid: LoadVivid) -> None:
    async with vivid() as (camera,), streaming(camera.node) as next_buffer:
        with anyio.fail_after(LIMIT_S):
            await next_buffer()
            await camera.inject("inject_v4l2_buf_flag_error")
            while not (await next_buffer()).flagged:
                pass


async def test_a_camera_can_go_and_come_with_events(vivid: LoadVivid) -> None:
    async with vivid(2) as (first, second), udev_events() as next_event:
        await second.hide()
        assert await next_event() == ("remove", second.node.name)
        assert first.node.exists()
        assert not second.node.exists()
        await second.show()
        assert await next_event() == ("add", second.node.name)
        assert Path(second.node).is_char_device()

"""Faults of the simulated webcam, which the kernel sees as those of a real one."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import pytest

from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.cameras.payloads import Fault
from tests.vm.guest.cameras import PlugWebcam, Root
from tests.vm.guest.monitor import streaming, until_ended
from tests.vm.guest.programs import control_values, output_of

SMALL = FrameSize(320, 240, (10,))
MJPEG = Layout(mjpeg=(SMALL,), yuyv=())
RAW = Layout(mjpeg=(), yuyv=(SMALL,))
LIMIT_S = 60

KeepBadBuffers = Callable[[], AbstractAsyncContextManager[None]]


@pytest.fixture
def keep_bad_buffers(root: Root) -> KeepBadBuffers:
    """Let the driver return damaged buffers, flagged; before Linux 6.14 it drops them silently by default.

    Applies to cameras plugged in during the `async with`.
    """
    parameter = "/sys/module/uvcvideo/parameters/nodrop"

    @asynccontextmanager
    async def kept() -> AsyncIterator[None]:
        await root.run("sh", "-c", f"echo 1 > {parameter}")
        yield
        await root.run("sh", "-c", f"echo 0 > {parameter}")

    return kept


async def test_a_stalled_camera_sends_nothing_and_says_nothing(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera, streaming(camera.node) as next_buffer:
        with anyio.fail_after(LIMIT_S):
            await next_buffer()
            await camera.set_fault("stall")
            silent = False
            while not silent:
                with anyio.move_on_after(2) as silence:
                    await next_buffer()
                silent = silence.cancelled_caught
            sent = await camera.sent()
            assert camera.node.exists()
            await camera.set_fault(None)
            assert (await next_buffer()).sequence == len(sent)


async def test_truncated_pictures_are_short_and_not_flagged(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera:
        await camera.set_fault("truncate")
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                buffer = await next_buffer()
        assert buffer.size_bytes == len(camera.pictures(SMALL)[buffer.sequence]) * 2 // 3
        assert not buffer.flagged


async def test_a_hole_in_a_picture_is_not_flagged_either(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera:
        await camera.set_fault("hole")
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                buffer = await next_buffer()
        picture = camera.pictures(SMALL)[buffer.sequence]
        assert len(picture) // 3 < buffer.size_bytes < len(picture)
        assert not buffer.flagged


@pytest.mark.parametrize("fault", ["truncate", "overflow"])
async def test_a_raw_picture_of_a_wrong_size_is_flagged(
    webcam: PlugWebcam, keep_bad_buffers: KeepBadBuffers, fault: Fault
) -> None:
    async with keep_bad_buffers(), webcam(RAW) as camera:
        await camera.set_fault(fault)
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                assert (await next_buffer()).flagged
                await camera.set_fault(None)
                while (await next_buffer()).flagged:
                    pass


@pytest.mark.parametrize("fault", ["overflow", "error_bit"])
async def test_a_compressed_picture_too_large_or_marked_bad_is_flagged(
    webcam: PlugWebcam, keep_bad_buffers: KeepBadBuffers, fault: Fault
) -> None:
    async with keep_bad_buffers(), webcam(MJPEG) as camera:
        await camera.set_fault(fault)
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                assert (await next_buffer()).flagged


async def test_by_default_the_driver_drops_what_it_would_flag(webcam: PlugWebcam) -> None:
    async with webcam(RAW) as camera:
        await camera.set_fault("truncate")
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                while len(await camera.sent()) < 3:
                    await anyio.sleep(0.1)
                await camera.set_fault(None)
                buffer = await next_buffer()
        assert (buffer.size_bytes, buffer.flagged) == (SMALL.raw_bytes, False)
        assert buffer.sequence >= 3


async def test_empty_pictures_bring_no_data(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera:
        await camera.set_fault("empty")
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                while len(await camera.sent()) < 3:
                    await anyio.sleep(0.1)
                await camera.set_fault(None)
                assert (await next_buffer()).size_bytes > 0


async def test_a_transfer_that_fails_ends_the_stream_until_it_is_started_again(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera:
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                await next_buffer()
                await camera.set_fault("protocol_error")
                while not (await next_buffer()).flagged:
                    pass
        await camera.set_fault(None)
        async with streaming(camera.node) as next_buffer:
            with anyio.fail_after(LIMIT_S):
                assert not (await next_buffer()).flagged


async def test_no_bandwidth_is_no_space_left(webcam: PlugWebcam) -> None:
    async with webcam(Layout(mjpeg=(SMALL,), transfer="isochronous")) as camera:
        await camera.set_fault("no_bandwidth")
        one = ("v4l2-ctl", "-d", str(camera.node), "--stream-mmap", "--stream-count=1")
        done = await anyio.run_process(one, check=False, stderr=-2)
        assert b"No space left on device" in done.stdout
        await camera.set_fault(None)
        assert "No space" not in await output_of(*one)


async def test_a_hanging_camera_answers_nothing(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera:
        # The driver reads values not yet known; each request would take its time-out of 5 s.
        await control_values(camera.node)
        await camera.set_fault("hang")
        with anyio.fail_after(LIMIT_S):
            done = await anyio.run_process(
                ["v4l2-ctl", "-d", str(camera.node), "--set-ctrl", "gain=3"], check=False, stderr=-2
            )
        assert b"timed out" in done.stdout
        await camera.set_fault(None)
        await output_of("v4l2-ctl", "-d", camera.node, "--set-ctrl", "gain=4")
        assert (await camera.controls())["gain"] == 4


async def test_unplugged_in_mid_stream_the_node_is_gone(webcam: PlugWebcam) -> None:
    async with webcam(MJPEG) as camera, streaming(camera.node) as next_buffer:
        with anyio.fail_after(LIMIT_S):
            await next_buffer()
            await camera.unplug()
            await until_ended(next_buffer)

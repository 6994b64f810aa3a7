"""Producer on a simulated USB webcam behind the real `uvcvideo` driver."""

import io
import logging
import time

import anyio
import pytest
from PIL import Image

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import CapturedAtSource
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.cameras.payloads import Fault
from tests.vm.cameras.pictures import BARS
from tests.vm.guest.cameras import PlugWebcam, Webcam
from tests.vm.guest.captured import (
    PATIENCE_S,
    Captured,
    captured,
    descriptors,
    failure,
    offered,
    other_program,
)
from v4l2_tier.settings import CaptureSettings

SIZE = FrameSize(640, 480, (10, 5))
LAYOUT = Layout(mjpeg=(SIZE,), yuyv=(SIZE,))
FORMATS = offered(LAYOUT)


async def until(camera: Captured, **counts: int) -> None:
    """Wait until each of these counts is reached."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            counted = camera.dropped | camera.recoveries
            if all(counted.get(name, 0) >= count for name, count in counts.items()):
                return
            await anyio.sleep(0.02)


@pytest.mark.parametrize("transfer", ["bulk", "isochronous"])
async def test_pictures_are_served_byte_for_byte(webcam: PlugWebcam, transfer: str) -> None:
    layout = Layout(mjpeg=(SIZE,), transfer=transfer)  # type: ignore[arg-type]
    async with webcam(layout) as plugged, captured(plugged.node, FORMATS) as camera:
        files = plugged.pictures(SIZE)
        frames = await camera.frames(5)
        assert all(frame.data in files for frame in frames)
        assert camera.broker.stats.failures == 0


async def test_the_capture_time_is_the_devices_and_never_too_late(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        files = plugged.pictures(SIZE)
        frames = await camera.frames(6)
        sent = await plugged.sent()
    late_s = []
    for frame in frames:
        assert frame.captured_at_source is CapturedAtSource.DEVICE
        number = files.index(frame.data)
        same = [each for each in sent if each.index % len(files) == number]
        assert any(each.started_ns / 1e9 - 0.25 < frame.captured_s < each.ended_ns / 1e9 for each in same)
        late_s.append(min((frame.captured_s - each.started_ns / 1e9 for each in same), key=abs))
    # The producer subtracts one interval for the exposure; the emulated machine adds its time for a packet.
    assert min(late_s) < 0


async def test_what_is_set_already_is_not_set_again(
    webcam: PlugWebcam, caplog: pytest.LogCaptureFixture
) -> None:
    def calls() -> list[str]:
        said = [record.getMessage() for record in caplog.records if record.name == "linuxpy.ioctl"]
        caplog.clear()
        names = [each.removeprefix("request=").split(",")[0] for each in said]
        assert "STREAMON" in names
        return [name for name in names if name in ("S_FMT", "S_PARM")]

    settings = CaptureSettings(warm_ttl_s=0, parked_ttl_s=0)
    async with webcam(LAYOUT) as plugged:
        async with captured(plugged.node, FORMATS, settings) as camera:
            caplog.set_level(logging.DEBUG, logger="linuxpy.ioctl")
            await camera.fresh()
            calls()
            while descriptors():
                await anyio.sleep(0.05)
            await camera.fresh()  # from cold
            assert calls() == []
        other = CaptureSettings(pixel_format="YUYV", fps=5)
        async with captured(plugged.node, FORMATS, other) as camera:
            await camera.fresh()
            assert calls() == ["S_FMT", "S_PARM"]


async def test_raw_pictures_keep_their_colours(webcam: PlugWebcam) -> None:
    settings = CaptureSettings(pixel_format="YUYV")
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS, settings) as camera:
        frame = await camera.fresh()
    with Image.open(io.BytesIO(frame.data)) as image:
        assert image.size == (640, 480)
        shown = image.convert("YCbCr")
    for index, (y, u, v) in enumerate(BARS):
        full = ((y - 16) * 255 / 219, 128 + (u - 128) * 255 / 224, 128 + (v - 128) * 255 / 224)
        found = shown.getpixel((index * 640 // len(BARS) + 45, 300))
        assert isinstance(found, tuple)
        assert max(abs(a - b) for a, b in zip(found, full, strict=True)) <= 4, (index, found, full)


async def send_one(plugged: Webcam, fault: Fault) -> None:
    """Let the camera send a bad picture, then good ones again."""
    before = sum(each.fault == fault for each in await plugged.sent())
    await plugged.set_fault(fault)
    while sum(each.fault == fault for each in await plugged.sent()) == before:
        await anyio.sleep(0.02)
    await plugged.set_fault(None)


@pytest.mark.parametrize(
    ("fault", "counted"),
    # The driver drops pictures that it knows to be damaged, which leaves a gap in the numbers.
    [("truncate", ("damaged",)), ("error_bit", ("device_error", "lost"))],
)
async def test_bad_pictures_are_dropped_and_counted(
    webcam: PlugWebcam, fault: Fault, counted: tuple[str, ...]
) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        with camera.broker.demand():
            files = plugged.pictures(SIZE)
            await camera.fresh()
            with anyio.fail_after(PATIENCE_S):
                # Repeated for a busy machine: a restart of the stream within a gap hides it.
                while not any(camera.dropped.get(name) for name in counted):
                    await send_one(plugged, fault)
                    with anyio.move_on_after(1):
                        while not any(camera.dropped.get(name) for name in counted):
                            await anyio.sleep(0.02)
            assert (await camera.fresh()).data in files
            assert camera.broker.stats.failures == 0


async def test_a_short_stall_is_overcome_without_anybody_noticing(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        with camera.broker.demand():
            await camera.fresh()
            await plugged.set_fault("stall")
            await until(camera, restart=1)
            await plugged.set_fault(None)
            await camera.fresh()
            assert camera.broker.stats.failures == 0


async def test_a_long_stall_is_told_and_overcome_when_it_ends(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        with camera.broker.demand():
            await camera.fresh()
            await plugged.set_fault("stall")
            assert (await failure(camera)).reason == "camera_stalled"
            assert camera.recoveries == {"restart": 1, "reopen": 1, "give_up": 1}
            await plugged.set_fault(None)
            with anyio.fail_after(PATIENCE_S):
                while camera.broker.problem is not None:
                    await anyio.sleep(0.05)
            await camera.fresh()


async def test_unplugging_in_mid_stream_is_told_within_a_second(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        await camera.fresh()
        took_s = 0.0

        async def wait() -> None:
            nonlocal took_s
            with pytest.raises(CaptureFailed) as caught:
                await camera.broker.fresh(time.monotonic() + 3600)
            took_s = time.monotonic()
            assert caught.value.reason == "camera_gone"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(0.5)
            await plugged.unplug()  # waits until its nodes are gone
            gone_s = time.monotonic()
        assert took_s - gone_s < 1
        assert descriptors() == []
        await plugged.plug(plugged.port)
        await camera.fresh()


async def test_another_program_that_holds_the_camera_is_named(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        async with other_program(plugged.node):
            with anyio.fail_after(PATIENCE_S):
                while not await plugged.sent():
                    await anyio.sleep(0.05)
            problem = await failure(camera)
            assert problem.reason == "device_busy"
            assert problem.details == "Another program holds the camera: v4l2-ctl."
        await anyio.sleep(0.3)  # the broker's pause
        await camera.fresh()


async def test_another_program_may_capture_while_the_camera_rests(webcam: PlugWebcam) -> None:
    settings = CaptureSettings(warm_ttl_s=0, parked_ttl_s=600)
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS, settings) as camera:
        await camera.fresh()
        with anyio.fail_after(PATIENCE_S):
            while camera.broker.state.value != "parked":
                await anyio.sleep(0.02)
        assert descriptors() != []
        async with other_program(
            plugged.node, "--set-fmt-video=pixelformat=YUYV", "--stream-count=2"
        ) as other:
            assert await other.wait() == 0
        assert (await camera.fresh()).data in plugged.pictures(SIZE)


async def test_missing_bandwidth_is_told(webcam: PlugWebcam) -> None:
    layout = Layout(mjpeg=(SIZE,), yuyv=(SIZE,), transfer="isochronous")
    async with webcam(layout) as plugged, captured(plugged.node, FORMATS) as camera:
        await plugged.set_fault("no_bandwidth")
        problem = await failure(camera)
        assert problem.reason == "usb_bandwidth"
        assert "smaller size" in problem.suggestion
        await plugged.set_fault(None)
        await anyio.sleep(0.5)
        await camera.fresh()


async def test_another_device_at_the_same_node_is_refused(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        await camera.fresh()
        port, node = plugged.port, plugged.node
        await plugged.unplug()
        await failure(camera)
        async with webcam(Layout(product="Another", mjpeg=(SIZE,)), port=port) as other:
            assert other.node == node
            await anyio.sleep(1)
            assert (await failure(camera)).reason == "camera_changed"


async def test_a_camera_that_answers_no_request_does_not_stop_the_agent(webcam: PlugWebcam) -> None:
    async with webcam(LAYOUT) as plugged, captured(plugged.node, FORMATS) as camera:
        await plugged.set_fault("hang")
        longest_s = 0.0

        async def beat() -> None:
            nonlocal longest_s
            while True:
                began_s = time.monotonic()
                await anyio.sleep(0.05)
                longest_s = max(longest_s, time.monotonic() - began_s)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(beat)
            problem = await failure(camera)
            tasks.cancel_scope.cancel()
        assert problem.reason in ("device_error", "camera_stalled")
        assert longest_s < 2
        await plugged.set_fault(None)
        await anyio.sleep(1)
        await camera.fresh()

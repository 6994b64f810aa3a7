"""Analog and HDMI inputs of the kernel's test driver: selected, followed, and told in words when they have no signal."""

from fractions import Fraction

import anyio
import pytest

from tests.vm.guest.captured import PATIENCE_S, Captured, captured, descriptors
from tests.vm.guest.listing import controls_of
from tests.vm.guest.test_producer_vivid import formats, well
from tests.vm.guest.vivid import LoadVivid, Vivid
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.probe import probe
from v4l2_tier.device.video_inputs import VideoSource
from v4l2_tier.settings import CaptureSettings

#: Types of vivid's inputs, two bits for each: webcam, tuner, S-Video, HDMI.
WEBCAM_AND_S_VIDEO, HDMI = 0b10_00, 0b11
#: Choices of the control dv_timings_signal_mode.
CURRENT, NO_SIGNAL, NO_LOCK, OUT_OF_RANGE, SELECTED = range(5)


async def source_of(camera: Vivid) -> VideoSource:
    found = await anyio.to_thread.run_sync(probe, camera.node)
    assert isinstance(found, Capabilities)
    return found.source


async def told(camera: Vivid, option: str) -> str:
    output = await anyio.run_process(["v4l2-ctl", "-d", str(camera.node), option])
    return output.stdout.decode()


async def signal(camera: Vivid, mode: int) -> None:
    await camera.inject("dv_timings_signal_mode", mode)


async def until_problem(camera: Captured, reason: str) -> None:
    with anyio.fail_after(PATIENCE_S):
        while camera.broker.problem is None or camera.broker.problem.reason != reason:
            await anyio.sleep(0.05)


@pytest.mark.parametrize(("name", "lines", "fps"), [("NTSC", 480, "29.97"), ("PAL", 576, "25")])
async def test_the_configured_input_and_standard_are_set(
    vivid: LoadVivid, name: str, lines: int, fps: str
) -> None:
    interval = 1 / Fraction(fps)
    size = FrameSize(Span(720, 720), Span(lines, lines), (Intervals(interval, interval),))
    offered = (PixelFormat("YUYV", "YUYV", (size,)),)
    settings = CaptureSettings(input=1, standard=name)
    async with vivid(1, num_inputs=2, input_types=WEBCAM_AND_S_VIDEO) as (camera,):
        assert (await source_of(camera)).fault == ""
        async with captured(camera.node, offered, settings) as taken:
            frame = await taken.fresh()
            assert (frame.width, frame.height) == (720, lines)
            assert taken.producer.layout is not None
            assert taken.producer.layout.raw.interlaced
            assert "Video input : 1 " in await told(camera, "--get-input")
            assert name in await told(camera, "--get-standard")


async def test_what_an_hdmi_input_lacks_is_told_in_words(vivid: LoadVivid) -> None:
    async with vivid(1, input_types=HDMI) as (camera,):
        before = await source_of(camera)
        assert before.fault == ""
        assert before.interval is not None
        for mode, words in (
            (NO_SIGNAL, "nothing is connected"),
            (NO_LOCK, "not stable"),
            (OUT_OF_RANGE, "cannot take"),
        ):
            await signal(camera, mode)
            assert words in (await source_of(camera)).fault
        await signal(camera, CURRENT)
        assert (await source_of(camera)).fault == ""


async def test_a_signal_that_goes_during_a_stream_is_no_stall_and_comes_back(vivid: LoadVivid) -> None:
    async with vivid(1, input_types=HDMI) as (camera,), captured(camera.node, formats("YUYV")) as taken:
        with taken.broker.demand():
            await taken.fresh()
            await signal(camera, NO_SIGNAL)
            await until_problem(taken, "no_signal")
            await signal(camera, CURRENT)
            await well(taken)


@pytest.mark.parametrize("streams", [False, True])
async def test_a_source_with_another_size_is_followed(vivid: LoadVivid, *, streams: bool) -> None:
    """During a stream, and while the device is closed, without a new plug."""
    settings = CaptureSettings(warm_ttl_s=60 if streams else 0, parked_ttl_s=0)
    async with (
        vivid(1, input_types=HDMI) as (camera,),
        captured(camera.node, formats("YUYV"), settings) as taken,
    ):
        await taken.fresh()
        assert "width: 720" not in await told(camera, "--get-dv-timings")
        with anyio.fail_after(PATIENCE_S):
            while not streams and descriptors():
                await anyio.sleep(0.05)
        menu = (await controls_of(camera.node))["dv_timings"]
        wanted = next(number for number, label in menu.items() if label.lower().startswith("720x576p"))
        await camera.inject("dv_timings", int(wanted))
        await signal(camera, SELECTED)
        with anyio.fail_after(PATIENCE_S):
            while "width: 720" not in await told(camera, "--get-dv-timings"):
                await well(taken)
        await well(taken)

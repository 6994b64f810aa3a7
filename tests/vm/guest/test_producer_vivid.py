"""Producer on `vivid`, the kernel's test driver: raw formats and injected errors."""

import io
from fractions import Fraction

import anyio
import pytest
from PIL import Image

from agent_core.base.errors import CaptureFailed
from tests.vm.guest.captured import PATIENCE_S, Captured, captured, descriptors
from tests.vm.guest.vivid import LoadVivid, Vivid
from v4l2_tier.device.capabilities import Capabilities, FrameSize, Intervals, PixelFormat, Span
from v4l2_tier.device.probe import probe
from v4l2_tier.settings import CaptureSettings

#: Rates of vivid for this size, the same on each kernel.
INTERVALS = (Intervals(Fraction(1, 10), Fraction(1, 10)),)


def formats(*codes: str) -> tuple[PixelFormat, ...]:
    size = FrameSize(Span(640, 640), Span(360, 360), INTERVALS)
    return tuple(PixelFormat(code, code, (size,)) for code in codes)


def colours(jpeg: bytes) -> list[tuple[int, ...]]:
    """Return the colours at the middles of the eight bars, below the text."""
    with Image.open(io.BytesIO(jpeg)) as image:
        shown = image.convert("RGB")
    found = [shown.getpixel((index * 80 + 40, 330)) for index in range(8)]
    return [each for each in found if isinstance(each, tuple)]


async def reason(camera: Captured) -> str:
    with pytest.raises(CaptureFailed) as caught:
        await camera.fresh()
    return caught.value.reason


async def well(camera: Captured) -> None:
    """Wait, through the broker's pauses, until the camera delivers again."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                await camera.fresh()
            except CaptureFailed:
                await anyio.sleep(0.1)
            else:
                return


#: Formats of vivid, at least one of each kind, with the largest difference of a colour from that of RGB3.
EXACT = (
    *("YUYV", "UYVY", "YVYU", "VYUY", "NV12", "NV21", "YU12", "YV12", "422P", "RGB3", "BGR3"),
    *("NV16", "NV61", "NV24", "NV42", "YUV4", "XR24", "BX24", "RGGB", "BA81", "RG10", "BA12", "RG16"),
)
COARSE = ("RGBP", "RGBR", "XR15")
GREYS = ("GREY", "Y10", "Y12", "Y16", "Y16 -BE")
#: Those of the multi-planar interface: with a plane of memory for each plane, and with one.
SEPARATE = (
    *("NM12", "NM21", "NM16", "NM61", "YM12", "YM21", "YM16", "YM61", "YM24", "YM42"),
    *("NV12", "YUYV", "RGB3", "Y16"),
)


async def shown_by(camera: Vivid, codes: tuple[str, ...]) -> dict[str, list[tuple[int, ...]]]:
    """Return the colours of a picture in each of `codes` that the driver offers."""
    found = await anyio.to_thread.run_sync(probe, camera.node)
    assert isinstance(found, Capabilities)
    shown = {}
    for code in (each.code for each in found.formats if each.code in codes):
        async with captured(camera.node, formats(code), CaptureSettings(jpeg_quality=95)) as taken:
            frame = await taken.fresh()
            assert (frame.width, frame.height) == (640, 360)
            shown[code] = colours(frame.data)
    return shown


def assert_alike(shown: dict[str, list[tuple[int, ...]]]) -> None:
    reference = shown["RGB3"]
    assert len(set(reference)) == 8
    for code, found in shown.items():
        if code in GREYS:
            assert all(r == g == b for r, g, b in found)
            assert found == sorted(found, reverse=True), code
            continue
        limit = 12 if code in COARSE else 8
        for want, got in zip(reference, found, strict=True):
            assert max(abs(a - b) for a, b in zip(want, got, strict=True)) <= limit, (code, reference, found)


async def test_every_raw_format_has_the_same_colours(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,):
        shown = await shown_by(camera, (*EXACT, *COARSE, *GREYS))
    assert shown.keys() == {*EXACT, *COARSE, *GREYS}
    assert_alike(shown)


async def test_a_multi_planar_node_has_the_same_colours_with_one_plane_and_with_several(
    vivid: LoadVivid,
) -> None:
    async with vivid(1, multiplanar=2) as (camera,):
        shown = await shown_by(camera, SEPARATE)
    assert shown.keys() == set(SEPARATE)
    assert_alike(shown)


async def test_frames_that_the_driver_flags_are_dropped_and_counted(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,), captured(camera.node, formats("YUYV")) as taken:
        with taken.broker.demand():
            await taken.fresh()
            await camera.inject("inject_v4l2_buf_flag_error")
            with anyio.fail_after(PATIENCE_S):
                while not taken.dropped.get("device_error"):
                    await anyio.sleep(0.02)
            await taken.fresh()
            assert taken.broker.stats.failures == 0


async def test_frames_that_the_driver_loses_are_counted(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,), captured(camera.node, formats("YUYV")) as taken:
        with taken.broker.demand():
            await taken.fresh()
            await camera.inject("percentage_of_dropped_buffers", 50)
            with anyio.fail_after(PATIENCE_S):
                while not taken.dropped.get("lost"):
                    await anyio.sleep(0.02)
            await camera.inject("percentage_of_dropped_buffers", 0)
            assert taken.broker.stats.failures == 0


@pytest.mark.parametrize("what", ["inject_vidioc_reqbufs_error", "inject_vidioc_streamon_error"])
async def test_a_start_that_fails_is_overcome(vivid: LoadVivid, what: str) -> None:
    async with vivid(1) as (camera,), captured(camera.node, formats("YUYV")) as taken:
        await camera.inject(what)  # type: ignore[arg-type]
        await well(taken)
        assert taken.recoveries or taken.broker.stats.failures


async def test_a_fatal_error_in_mid_stream_is_overcome_by_a_restart(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,), captured(camera.node, formats("YUYV")) as taken:
        with taken.broker.demand():
            await taken.fresh()
            await camera.inject("inject_fatal_streaming_error")
            with anyio.fail_after(PATIENCE_S):
                while not taken.recoveries.get("restart"):
                    await anyio.sleep(0.02)
            await taken.fresh()
            assert taken.broker.stats.failures == 0


async def test_a_device_that_disconnects_without_an_event_is_told_and_comes_back(vivid: LoadVivid) -> None:
    async with vivid(1) as (camera,), captured(camera.node, formats("YUYV")) as taken:
        await taken.fresh()
        await camera.inject("disconnect")
        assert await reason(taken) == "camera_gone"
        await well(taken)


async def test_nothing_is_open_when_it_is_cold(vivid: LoadVivid) -> None:
    settings = CaptureSettings(warm_ttl_s=0, parked_ttl_s=0)
    async with vivid(1) as (camera,), captured(camera.node, formats("YUYV"), settings) as taken:
        assert descriptors() == []
        await taken.fresh()
        with anyio.fail_after(PATIENCE_S):
            while descriptors():
                await anyio.sleep(0.02)

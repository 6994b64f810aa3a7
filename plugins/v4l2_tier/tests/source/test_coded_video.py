"""Cameras with coded video, as the core is told of them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from agent_core.plugin import CaptureFailed, FrameSocket, VideoCodec
from v4l2_tier.device.capabilities import Capabilities, PixelFormat
from v4l2_tier.device.errors import other_codec
from v4l2_tier.source.inventory import DeviceNode

Make = Callable[..., DeviceNode]
Watch = Callable[..., AbstractAsyncContextManager[Any]]
HERE = "connected"


def offering(capabilities: Capabilities, *codes: str) -> Capabilities:
    sizes = capabilities.formats[0].sizes
    return replace(capabilities, formats=tuple(PixelFormat(code, code, sizes) for code in codes))


def answering(answer: Capabilities) -> Callable[[Any], None]:
    def prepare(devices: Any) -> None:
        devices.answers["video0"] = answer

    return prepare


@pytest.mark.parametrize(
    ("code", "codec", "track"), [("H264", VideoCodec.H264, "H264"), ("HEVC", VideoCodec.H265, "H265")]
)
async def test_a_camera_with_coded_video_only_is_reported_without_jpegs(
    watch: Watch, node: Make, capabilities: Capabilities, code: str, codec: VideoCodec, track: str
) -> None:
    async with watch(node(), prepare=answering(offering(capabilities, code))) as bench:
        camera = bench.report.cameras["video0"]
    assert isinstance(camera.media_input, FrameSocket)
    assert (camera.media_input.codec, camera.frames, camera.tracks) == (codec, None, (track,))
    assert camera.device.device.is_streaming is False
    assert (camera.resolution, camera.fps, camera.modes[0].format) == ((640, 480), 30.0, code)


async def test_a_camera_with_both_is_served_with_jpegs_unless_its_table_says_otherwise(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    both = answering(offering(capabilities, "MJPG", "H264"))
    async with watch(node(), prepare=both) as bench:
        camera = bench.report.cameras["video0"]
        assert (camera.media_input.codec, camera.device, camera.tracks) == (VideoCodec.MJPEG, None, ())
        assert camera.frames is not None
    table = {"match": "Sim Cam", "pixel_format": "H264"}
    async with watch(node(), prepare=both, cameras=[table]) as bench:
        assert bench.report.cameras["video0"].media_input.codec is VideoCodec.H264


async def test_a_camera_that_changes_to_coded_video_is_served_anew(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    async with watch(node()) as bench:
        before = bench.report.cameras["video0"]
        bench.devices.producers["video0"].park_error = other_codec()
        bench.devices.answers["video0"] = offering(capabilities, "H264")
        with pytest.raises(CaptureFailed, match="other picture formats"):
            await before.frames.fresh(0)
        await bench.report.until((HERE, "video0"), (HERE, "video0"))
        camera = bench.report.cameras["video0"]
        assert (camera.media_input.codec, camera.frames) == (VideoCodec.H264, None)
        bench.devices.producers["video0"].park_error = other_codec()
        bench.devices.answers["video0"] = capabilities
        async with anyio.create_task_group() as tg:
            tg.start_soon(demand, camera)
            await bench.report.until(*[(HERE, "video0")] * 3)
            tg.cancel_scope.cancel()
        camera = bench.report.cameras["video0"]
        assert (camera.media_input.codec, camera.device) == (VideoCodec.MJPEG, None)
        assert camera.frames is not None


async def demand(camera: Any) -> None:
    """Use the camera, like a client of its frame socket."""
    with camera.device.demand():
        await anyio.sleep_forever()

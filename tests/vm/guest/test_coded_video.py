"""Webcams with H.264 and H.265 of their own behind the kernel's driver: streams, recordings and stills by a whole agent."""

import itertools
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import VideoCodec, ffmpeg
from agent_core.plugin.video import nal
from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam, Webcam

SIZE = FrameSize(320, 240, (5,))
H264 = Layout(serial="CAM-H264", mjpeg=(), yuyv=(), h264=(SIZE,))
CONFIG: dict[str, Any] = {
    "plugins": {
        "enabled": ["v4l2_tier", "ffmpeg_tier", "rtsp_tier", "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    },
    "media_server": {"start_timeout_s": 60},
    "recordings": {"start_timeout_s": 60},
}
LIMIT_S = 120
#: Snapshots are slow: the emulated processor starts programs that decode.
DEADLINE_MS = 60_000


class Machine:
    """Agent with one webcam, and its client."""

    def __init__(self, client: AgentClient, recordings: Path) -> None:
        self.client = client
        self._recordings = recordings

    async def call(self, method: str, **params: Any) -> Any:
        with anyio.fail_after(LIMIT_S):
            return await self.client.call(method, device="camera0", **params)

    async def until(self, method: str, **wanted: Any) -> None:
        with anyio.fail_after(LIMIT_S):
            while not await self._answers(method, wanted):
                await anyio.sleep(0.1)

    async def _answers(self, method: str, wanted: dict[str, Any]) -> bool:
        try:
            answer: dict[str, Any] = await self.call(method)
        except CallFailed:  # the agent does not know the camera yet
            return False
        return wanted.items() <= answer.items()

    def segments(self, recording: str) -> list[Path]:
        return sorted((self._recordings / "camera0" / recording).glob("*.mp4"))

    async def stream_slices(self, pictures: int, codec: VideoCodec = VideoCodec.H264) -> list[bytes]:
        """Return the slices of the stream's next pictures, as the server sends them."""
        url = (await self.call("start_streaming"))["stream_url"]
        return await slices_of(url, codec, "-rtsp_transport", "tcp", pictures=pictures)


@asynccontextmanager
async def machine(tmp_path: Path, **settings: Any) -> AsyncIterator[Machine]:
    plugins = {**CONFIG["plugins"], "v4l2_tier": {"defaults": settings}}
    storage = {"recordings_dir": tmp_path / "recordings"}
    config = {**CONFIG, "plugins": plugins, "storage": storage}
    async with running_agent(config=config) as agent, agent.client("operator") as client:
        shown = Machine(client, tmp_path / "recordings")
        await shown.until("get_camera_status", status="CONNECTED")
        yield shown


async def slices_of(
    source: str, codec: VideoCodec, *options: str, pictures: int | None = None
) -> list[bytes]:
    """Return the slices of coded video, read by FFmpeg without decoding."""
    count = () if pictures is None else ("-frames:v", str(pictures))
    form = "h264" if codec is VideoCodec.H264 else "hevc"
    words = ["-xerror", *options, "-i", source, *count, "-c:v", "copy", "-f", form, "-"]
    with anyio.fail_after(LIMIT_S):
        stream = await ffmpeg.run(ffmpeg.locate(), words)
    return slices_in(stream, codec)


def slices_in(stream: bytes, codec: VideoCodec) -> list[bytes]:
    units = (each.rstrip(b"\0") for each in re.split(rb"\x00\x00\x01", stream)[1:])
    return [each for each in units if nal.is_slice(codec, each)]


def numbers_of(slices: list[bytes], camera: Webcam, code: str = "H264", size: FrameSize = SIZE) -> list[int]:
    """Return the numbers of the camera's pictures that these slices are, byte for byte."""
    codec = VideoCodec.H264 if code == "H264" else VideoCodec.H265
    known: dict[bytes, int] = {}
    for number, unit in enumerate(camera.units(code, size)):
        for each in slices_in(unit, codec):
            assert known.setdefault(each, number) == number
    return [known[each] for each in slices]


def follow(numbers: list[int], group: int) -> bool:
    """Return whether no picture is missing between these, of which the first is a key frame."""
    return numbers == [number % group for number in range(len(numbers))]


@pytest.mark.timeout(600)
async def test_a_camera_with_h264_only_is_streamed_recorded_and_photographed(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    async with webcam(H264) as camera, machine(tmp_path) as agent:
        offers = await agent.call("get_camera_capabilities")
        assert offers["modes"] == [{"format": "H264", "width": 320, "height": 240, "fps": [5.0]}]
        group = camera.layout.group
        numbers = numbers_of(await agent.stream_slices(2 * group), camera)
        assert len(numbers) == 2 * group
        assert follow(numbers, group)
        recording = await agent.call("start_recording", wait=True)
        photo = await agent.call("take_snapshot", max_age_ms=0, deadline_ms=DEADLINE_MS)
        assert (photo["status"], photo["resolution"]) == ("SUCCESS", "320x240")
        assert (await agent.call("stop_recording"))["filename"] == recording["filename"]
        (segment,) = agent.segments(recording["filename"])
        recorded = numbers_of(await slices_of(str(segment), VideoCodec.H264), camera)
        assert follow(recorded, group)
        assert len(recorded) >= group


@pytest.mark.timeout(600)
async def test_of_both_formats_the_configured_one_streams_untouched(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    both = Layout(serial="CAM-BOTH", mjpeg=(SIZE,), yuyv=(), h264=(SIZE,), parameter_sets="first", group=15)
    async with webcam(both) as camera, machine(tmp_path, pixel_format="H264") as agent:
        numbers = numbers_of(await agent.stream_slices(25), camera)
        assert follow(numbers, both.group)
        # Later clients get the parameter sets, too, that the camera has sent once.
        assert follow(numbers_of(await agent.stream_slices(5), camera), both.group)
        await agent.call("stop_streaming")


@pytest.mark.timeout(600)
async def test_by_default_the_same_camera_is_used_with_its_jpegs(webcam: PlugWebcam, tmp_path: Path) -> None:
    both = Layout(serial="CAM-BOTH", mjpeg=(SIZE,), yuyv=(), h264=(SIZE,))
    async with webcam(both), machine(tmp_path) as agent:
        photo = await agent.call("take_snapshot", max_age_ms=0, deadline_ms=DEADLINE_MS)
        assert (photo["tier_used"], photo["captured_at_source"]) == (0, "device")


@pytest.mark.timeout(600)
async def test_h265_streams_as_it_comes(webcam: PlugWebcam, tmp_path: Path) -> None:
    layout = Layout(serial="CAM-H265", mjpeg=(), yuyv=(), hevc=(SIZE,))
    async with webcam(layout) as camera:
        async with machine(tmp_path) as agent:
            slices = await agent.stream_slices(12, VideoCodec.H265)
        assert follow(numbers_of(slices, camera, "HEVC"), layout.group)


@pytest.mark.timeout(600)
async def test_a_pulled_cable_ends_the_stream_until_the_camera_is_back(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    async with webcam(H264) as camera, machine(tmp_path) as agent:
        await agent.stream_slices(3)
        port = camera.port
        await camera.unplug()
        await agent.until("get_camera_status", status="DISCONNECTED")
        await camera.plug(port)
        await agent.until("get_camera_status", status="CONNECTED")
        await agent.until("get_stream_status", status="ACTIVE")
        assert follow(numbers_of(await agent.stream_slices(12), camera), H264.group)


@pytest.mark.timeout(600)
async def test_after_damage_the_stream_goes_on_with_a_key_frame(webcam: PlugWebcam, tmp_path: Path) -> None:
    """The driver drops what the camera marks as bad, so that only its numbers tell the loss."""
    layout = Layout(serial="CAM-TORN", mjpeg=(), yuyv=(), h264=(SIZE,), group=8, before_key=3)
    async with webcam(layout) as camera, machine(tmp_path) as agent:
        numbers: list[int] = []

        async def read() -> None:
            numbers.extend(numbers_of(await agent.stream_slices(50), camera))

        async with anyio.create_task_group() as tg:
            tg.start_soon(read)
            while not numbers:
                await anyio.sleep(2.3)
                await camera.set_fault("error_bit")
                await anyio.sleep(0.3)
                await camera.set_fault(None)
        jumps = [(before, after) for before, after in itertools.pairwise(numbers) if after != before + 1]
        assert numbers[0] == 0
        assert {after for _, after in jumps} == {0}
        assert any(before != layout.group - 1 for before, _ in jumps), numbers


@pytest.mark.release
@pytest.mark.timeout(600)
async def test_an_encoder_that_begins_with_another_size_is_streamed_with_it(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    larger = FrameSize(640, 480, (5,))
    layout = Layout(serial="CAM-SIZES", mjpeg=(), yuyv=(), h264=(SIZE,), coded_sizes=((320, 240), (640, 480)))
    async with webcam(layout) as camera, machine(tmp_path, warm_ttl_s=0, parked_ttl_s=0) as agent:
        assert follow(numbers_of(await agent.stream_slices(5), camera), layout.group)
        await agent.call("stop_streaming")
        await agent.until("get_stream_status", status="INACTIVE")
        with anyio.fail_after(LIMIT_S):
            slices = await agent.stream_slices(5)
        assert follow(numbers_of(slices, camera, size=larger), layout.group)


@pytest.mark.timeout(600)
async def test_pictures_and_h264_at_two_nodes_are_one_camera(webcam: PlugWebcam, tmp_path: Path) -> None:
    layout = Layout(serial="CAM-TWO", mjpeg=(SIZE,), yuyv=(), h264=(SIZE,), coded_apart=True)
    async with webcam(layout) as camera, machine(tmp_path) as agent:
        with anyio.fail_after(LIMIT_S):
            while len((await agent.call("get_camera_capabilities"))["modes"]) < 2:
                await anyio.sleep(0.1)
        assert len((await agent.client.call("get_camera_list"))["cameras"]) == 1
        assert follow(numbers_of(await agent.stream_slices(12), camera), layout.group)
        photo = await agent.call("take_snapshot", max_age_ms=0, deadline_ms=DEADLINE_MS)
        assert (photo["tier_used"], photo["captured_at_source"]) == (0, "device")
        port = camera.port
        await camera.unplug()
        await agent.until("get_camera_status", status="DISCONNECTED")
        await camera.plug(port)
        await agent.until("get_camera_status", status="CONNECTED")
        assert len((await agent.client.call("get_camera_list"))["cameras"]) == 1

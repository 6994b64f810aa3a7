"""Cameras of libcamera through GStreamer, with libcamera's own virtual pipeline; no program here is ours."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import CaptureFailed, FindingStatus, Frame, ffmpeg
from agent_core.plugin.frames import FrameBroker
from agent_core.testing import SystemClock, children, running_agent
from libcamera_source.cam_reader import CamOutput
from libcamera_source.checks import LibcameraCheck
from libcamera_source.listing import ListedCamera
from libcamera_source.outputs import JpegOutput
from libcamera_source.producer import ProgramProducer, broker_settings
from libcamera_source.programs import command
from libcamera_source.settings import CaptureSettings, LibcameraSettings
from libcamera_source.tools import Toolbox
from tests.vm.guest.cameras import Root
from tests.vm.guest.libcamera import MEMORY, VirtualSensor, needs_virtual_pipeline, virtual_sensors, write

needs_virtual_pipeline()
pytestmark = pytest.mark.timeout(900)

#: The ids of a Raspberry Pi's cameras.
SENSOR = VirtualSensor("/base/soc/i2c0mux/i2c@1/imx219@10")
OTHER = VirtualSensor("/base/axi/pcie@120000/rp1/i2c@88000/ov5647@36", model="ov5647")
SMALL: dict[str, Any] = {"width": 640, "height": 480, "fps": 5}
CONFIG: dict[str, Any] = {
    "plugins": {
        "enabled": ["libcamera_source", "ffmpeg_tier", "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
        "libcamera_source": {"list_interval_s": 5, "defaults": SMALL},
    },
    "media_server": {"start_timeout_s": 60},
    "recordings": {"start_timeout_s": 60},
}
LIMIT_S = 300
DEADLINE_MS = 30_000


class Machine:
    """Agent with libcamera's cameras, and its client."""

    def __init__(self, client: AgentClient, recordings: Path) -> None:
        self.client = client
        self.recordings = recordings

    async def call(self, method: str, device: str = "camera0", **params: Any) -> Any:
        with anyio.fail_after(LIMIT_S):
            return await self.client.call(method, device=device, **params)

    async def snapshot(self) -> Any:
        """Take a picture. GStreamer takes up to half a minute to start on an emulated processor, so ask again meanwhile."""
        with anyio.fail_after(LIMIT_S):
            while True:
                try:
                    return await self.call("take_snapshot", max_age_ms=0, deadline_ms=DEADLINE_MS)
                except CallFailed:
                    await anyio.sleep(0.5)

    async def until(self, device: str, **wanted: Any) -> Any:
        """Wait until the camera is listed with these values, and return it."""
        with anyio.fail_after(LIMIT_S):
            while True:
                listed = (await self.client.call("get_camera_list"))["cameras"]
                found: dict[str, Any] = next((each for each in listed if each["device"] == device), {})
                if wanted.items() <= found.items():
                    return found
                await anyio.sleep(0.3)

    def segments(self, recording: str) -> list[Path]:
        return sorted((self.recordings / "camera0" / recording).glob("*.mp4"))


@asynccontextmanager
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    """Run an agent; afterwards none of its processes may be left."""
    config = {**CONFIG, "storage": {"recordings_dir": tmp_path / "recordings"}}
    async with running_agent(config=config) as agent, agent.client("operator") as client:
        yield Machine(client, tmp_path / "recordings")
    assert not children()
    assert not programs()


def programs() -> set[int]:
    """Return the processes of GStreamer on this machine."""
    found: set[int] = set()
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and (each / "comm").read_text().startswith("gst-launch"):
                found.add(int(each.name))
        except OSError:  # it has just ended
            continue
    return found


async def picture(camera: str = SENSOR.id, **settings: Any) -> Frame:
    """Capture from one camera without an agent. Raises CaptureFailed."""
    chosen = CaptureSettings.model_validate({**SMALL, "settle_s": 0, **settings})
    with TemporaryDirectory(prefix="ca-") as folder:
        toolbox = Toolbox("gstreamer", Path(folder))
        words = command(await toolbox.tools(), ListedCamera(camera, 0, "", ""), chosen)
        environment = toolbox.environment_for(chosen)
        clock = SystemClock()
        producer = ProgramProducer(
            lambda: words, JpegOutput, environment, chosen, clock=clock, lock=toolbox.lock
        )
        broker = FrameBroker(producer, clock=clock, settings=broker_settings(chosen))
        with anyio.fail_after(LIMIT_S):
            async with anyio.create_task_group() as tg:
                tg.start_soon(broker.run)
                try:
                    frame: Frame | CaptureFailed = await broker.fresh(0.0)
                except CaptureFailed as error:
                    frame = error
                tg.cancel_scope.cancel()
    if isinstance(frame, CaptureFailed):
        raise frame
    return frame


async def test_a_camera_is_listed_with_its_identity_and_photographed(root: Root, tmp_path: Path) -> None:
    async with virtual_sensors(root, SENSOR, OTHER), machine(tmp_path) as agent:
        found = await agent.until("camera1", status="CONNECTED", name="ov5647")
        assert found["resolution"] == "640x480"
        found = await agent.until("camera0", status="CONNECTED", name="imx219")
        taken = await agent.snapshot()
        assert taken["tier_used"] == 0


async def test_a_stream_and_a_recording_go_on_after_the_program_is_killed(root: Root, tmp_path: Path) -> None:
    async with virtual_sensors(root, SENSOR), machine(tmp_path) as agent:
        await agent.until("camera0", status="CONNECTED")
        await agent.snapshot()
        stream = await agent.call("start_streaming")
        recording = (await agent.call("start_recording", wait=True))["filename"]
        await read(stream["stream_url"])
        killed = await another_program(set())
        os.kill(killed, signal.SIGKILL)
        await another_program({killed})
        assert (await agent.snapshot())["tier_used"] == 0
        await agent.until("camera0", status="CONNECTED", is_recording=True)
        stopped = await agent.call("stop_recording")
        assert stopped["filename"] == recording
        segments = agent.segments(recording)
        assert segments
        await ffmpeg.run(ffmpeg.locate(), ["-i", str(segments[0]), "-c", "copy", "-f", "null", "-"])


async def another_program(but: set[int]) -> int:
    """Wait for a process of GStreamer, and return it."""
    with anyio.fail_after(LIMIT_S):
        while not (found := programs() - but):
            await anyio.sleep(0.1)
    return found.pop()


async def read(url: str) -> None:
    """Read ten pictures of the stream."""
    words = ["-rtsp_transport", "tcp", "-i", url, "-frames:v", "10", "-c", "copy", "-f", "null", "-"]
    with anyio.fail_after(LIMIT_S):
        await ffmpeg.run(ffmpeg.locate(), words)


async def test_a_camera_that_is_gone_returns_under_its_name(root: Root, tmp_path: Path) -> None:
    async with virtual_sensors(root, SENSOR, OTHER), machine(tmp_path) as agent:
        await agent.until("camera1", status="CONNECTED", name="ov5647")
        await write(root, OTHER)
        await agent.until("camera0", status="DISCONNECTED")
        await write(root, OTHER, SENSOR)
        await agent.until("camera0", status="CONNECTED", name="imx219")
        assert (await agent.until("camera1", status="CONNECTED"))["name"] == "ov5647"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
async def test_missing_rights_are_told_until_they_are_given(root: Root, tmp_path: Path) -> None:
    async with virtual_sensors(root, SENSOR, opened=False), machine(tmp_path) as agent:
        await agent.until("camera0", status="CONNECTED")
        with pytest.raises(CallFailed):
            await agent.call("take_snapshot", max_age_ms=0, deadline_ms=DEADLINE_MS)
        failed = await agent.until("camera0", status="ERROR")
        assert "may not open" in failed["problem"]
        await root.run("chgrp", "video", str(MEMORY))
        await agent.snapshot()
        await agent.until("camera0", status="CONNECTED", problem="")


async def test_each_option_is_taken(root: Root) -> None:
    async with virtual_sensors(root, SENSOR):
        turned = await picture(
            rotation=180, hflip=True, vflip=True, jpeg_quality=50, extra_arguments=["name=front"]
        )
        assert (turned.width, turned.height) == (640, 480)
        scaled = await picture(width=320, height=180)  # a size that the camera lacks
        assert (scaled.width, scaled.height) == (320, 180)


@pytest.mark.parametrize(
    ("camera", "settings", "reason"),
    [
        (SENSOR.id, {"extra_arguments": ["no-such-property=1"]}, "program_unsuitable"),
        (SENSOR.id, {"camera_format": "jpeg"}, "no_usable_format"),
        (OTHER.id, {}, "camera_gone"),
    ],
)
async def test_what_goes_wrong_is_told(
    root: Root, camera: str, settings: dict[str, Any], reason: str
) -> None:
    async with virtual_sensors(root, SENSOR):
        with pytest.raises(CaptureFailed) as failure:
            await picture(camera, **settings)
    assert failure.value.reason == reason, failure.value.details + failure.value.detail


async def test_cam_takes_its_words_and_tells_of_each_frame(root: Root) -> None:
    """Frames of the virtual pipeline are empty for `cam` of libcamera 0.4: it initialises their sizes since 0.5."""
    chosen = CaptureSettings.model_validate(SMALL)
    with TemporaryDirectory(prefix="ca-") as folder:
        toolbox = Toolbox("cam", Path(folder))
        tools, pipe = await toolbox.tools(), Path(folder) / "pipe"
        words = command(tools, ListedCamera(SENSOR.id, 0, "", ""), chosen, pipe)
        clock, environment = SystemClock(), toolbox.environment_for(chosen)
        producer = ProgramProducer(
            lambda: words,
            lambda: CamOutput(pipe, chosen.jpeg_quality, clock),
            environment,
            chosen,
            clock=clock,
            lock=toolbox.lock,
        )
        broker = FrameBroker(producer, clock=clock, settings=broker_settings(chosen))
        async with virtual_sensors(root, SENSOR), anyio.create_task_group() as tg:
            tg.start_soon(broker.run)
            with anyio.fail_after(LIMIT_S), broker.demand():
                while broker.latest() is None and "empty" not in dict(broker.stats.dropped):
                    await anyio.sleep(0.1)
            tg.cancel_scope.cancel()
    assert not children()


async def test_doctor_names_the_programs_and_the_cameras(root: Root) -> None:
    async with virtual_sensors(root, SENSOR):
        with anyio.fail_after(LIMIT_S):
            found = await LibcameraCheck(LibcameraSettings(), answer_s=60).look()
    told = {each.name: each for each in found}
    assert all(each.status is FindingStatus.OK for each in found), found
    assert told[f"imx219 ({SENSOR.id})"].detail == "The camera is used."
    assert any("captured by gst-launch-1.0 and listed by cam" in each.detail for each in found)

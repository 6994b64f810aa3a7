"""Whole agent with a media server and one webcam: snapshots, a stream and a recording at once, then an unplugged cable."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import ffmpeg
from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam

#: Small and slow, because an emulated processor encodes H.264.
LAYOUT = Layout(serial="CAM-1", mjpeg=(FrameSize(320, 240, (5,)),), yuyv=())
CONFIG: dict[str, Any] = {
    "plugins": {
        "enabled": ["v4l2_tier", "ffmpeg_tier", "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    },
    "media_server": {"start_timeout_s": 60},
    "recordings": {"start_timeout_s": 60},
}
LIMIT_S = 120
NOT_FOUND = -32010
#: Snapshots may be slow: the emulator is busy with the encoder.
DEADLINE_MS = 30_000


class Machine:
    """Agent with one webcam, and its client."""

    def __init__(self, client: AgentClient, recordings: Path) -> None:
        self.client = client
        self.recordings = recordings

    async def call(self, method: str, **params: Any) -> Any:
        with anyio.fail_after(LIMIT_S):
            return await self.client.call(method, device="camera0", **params)

    async def snapshot(self) -> Any:
        return await self.call("take_snapshot", max_age_ms=0, deadline_ms=DEADLINE_MS)

    async def until(self, method: str, **wanted: Any) -> None:
        with anyio.fail_after(LIMIT_S):
            while not wanted.items() <= (await self._told(method)).items():
                await anyio.sleep(0.1)

    async def _told(self, method: str) -> Any:
        """Return the method's result; nothing before the camera is listed, for which the agent's start does not wait."""
        try:
            return await self.client.call(method, device="camera0")
        except CallFailed as error:
            if error.code != NOT_FOUND:
                raise
            return {}

    def segments(self, recording: str) -> list[Path]:
        return sorted((self.recordings / "camera0" / recording).glob("*.mp4"))


@asynccontextmanager
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    config = {**CONFIG, "storage": {"recordings_dir": tmp_path / "recordings"}}
    async with running_agent(config=config) as agent, agent.client("operator") as client:
        yield Machine(client, tmp_path / "recordings")


async def plays(file: Path) -> None:
    await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(file), "-c", "copy", "-f", "null", "-"])


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("together_s", [60, pytest.param(1800, marks=pytest.mark.release)])
async def test_snapshots_a_stream_and_a_recording_share_the_camera(
    webcam: PlugWebcam, tmp_path: Path, together_s: float
) -> None:
    async with webcam(LAYOUT), machine(tmp_path) as agent:
        await agent.until("get_camera_status", status="CONNECTED")
        stream = await agent.call("start_streaming")
        recording = await agent.call("start_recording", wait=True)
        tiers = []
        async with anyio.create_task_group() as tg:
            tg.start_soon(read, stream["stream_url"], together_s)
            until_s = time.monotonic() + together_s
            while time.monotonic() < until_s:
                tiers.append((await agent.snapshot())["tier_used"])
                await anyio.sleep(0.5)
        stopped = await agent.call("stop_recording")
        assert stopped["filename"] == recording["filename"]
        assert set(tiers) == {0}
        assert len(tiers) >= together_s / 20
        assert stopped["duration"] >= 0.7 * together_s
        assert len(stopped["segments"]) == 1
        await plays(agent.segments(recording["filename"])[0])


async def read(url: str, duration_s: float) -> None:
    """Read the stream, which must not end early."""
    words = [
        "-rtsp_transport",
        "tcp",
        "-i",
        url,
        "-t",
        str(0.5 * duration_s),
        "-c",
        "copy",
        "-f",
        "null",
        "-",
    ]
    await ffmpeg.run(ffmpeg.locate(), words)


@pytest.mark.timeout(400)
async def test_a_pulled_cable_ends_what_waits_and_the_rest_goes_on_when_it_is_back(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    async with webcam(LAYOUT) as camera, machine(tmp_path) as agent:
        await agent.until("get_camera_status", status="CONNECTED")
        await agent.call("start_streaming")
        recording = (await agent.call("start_recording", wait=True))["filename"]
        port = camera.port
        topics = ["camera.disconnected", "recording.error"]
        async with agent.client.subscribe(topics) as events:
            reasons: list[str] = []
            async with anyio.create_task_group() as tg:
                tg.start_soon(until_refused, agent, reasons)
                await agent.snapshot()
                await camera.unplug()
                with anyio.fail_after(LIMIT_S):
                    seen = {(await anext(events)).topic, (await anext(events)).topic}
            assert seen == set(topics)
            assert reasons
        await camera.plug(port)
        await agent.until("get_camera_status", status="CONNECTED", is_recording=True)
        await agent.until("get_stream_status", status="ACTIVE")
        with anyio.fail_after(LIMIT_S):
            while len(agent.segments(recording)) < 2 or not agent.segments(recording)[-1].stat().st_size:
                await anyio.sleep(0.2)
        stopped = await agent.call("stop_recording")
        assert stopped["filename"] == recording
        assert len(stopped["segments"]) >= 2
        for segment in agent.segments(recording):
            await plays(segment)
    assert "/dev/" not in " ".join(reasons)


async def until_refused(agent: Machine, reasons: list[str]) -> None:
    """Take snapshots in sequence until one fails; each call ends."""
    while not reasons:
        try:
            await agent.snapshot()
        except CallFailed as error:
            assert error.reason
            assert error.suggestion
            reasons.append(f"{error.reason}: {error.details}")

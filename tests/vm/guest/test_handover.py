"""A camera that another program takes and publishes: snapshots go on from its stream, and from the device afterwards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam

#: Small and slow, because an emulated processor encodes and decodes H.264.
LAYOUT = Layout(serial="CAM-1", mjpeg=(FrameSize(320, 240, (5,)),), yuyv=())
#: The agent leaves the device at once; the rest are limits that an emulated processor keeps.
CONFIG: dict[str, Any] = {
    "plugins": {
        "enabled": ["v4l2_tier", "ffmpeg_tier", "rtsp_tier", "embedded_server"],
        "v4l2_tier": {"defaults": {"warm_ttl_s": 0, "parked_ttl_s": 0}},
        "rtsp_tier": {
            "latency_s": 2,
            "connect_timeout_s": 60,
            "silence_timeout_s": 60,
            "worker_silence_s": 60,
        },
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    },
    "snapshots": {"tier_budget_s": [60, 20, 90, 90]},
    "media_server": {"start_timeout_s": 60},
}
LIMIT_S = 240


async def served(client: AgentClient) -> int:
    """Take a picture; return the tier that served. An attempt may fail while the camera changes hands."""
    with anyio.fail_after(LIMIT_S):
        while True:
            try:
                snapshot: Any = await client.call(
                    "take_snapshot", device="camera0", max_age_ms=0, deadline_ms=120_000
                )
            except CallFailed as error:
                assert error.code == -32050, error
                assert error.data["tiers_tried"], error
                print(f"no picture: {error.data['tiers_tried']}", flush=True)  # noqa: T201 - for the log of the machine
                await anyio.sleep(0.5)
            else:
                print(f"tier {snapshot['tier_used']} after {snapshot['tiers_tried']}", flush=True)  # noqa: T201
                if snapshot["tier_used"]:
                    assert "frames" in {each["name"] for each in snapshot["tiers_tried"]}
                tier: int = snapshot["tier_used"]
                return tier


async def until(client: AgentClient, method: str, **wanted: Any) -> None:
    with anyio.fail_after(LIMIT_S):
        while not wanted.items() <= (await client.call(method, device="camera0")).items():
            await anyio.sleep(0.2)


@asynccontextmanager
async def other_program(client: AgentClient, node: Path) -> AsyncIterator[None]:
    """Hold the device with FFmpeg, which publishes it as the camera's stream, while the context is open."""
    url = (await client.call("get_stream_url", device="camera0"))["stream_url"]
    device = ["-f", "v4l2", "-input_format", "mjpeg", "-video_size", "320x240", "-framerate", "5"]
    encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]
    output = ["-g", "5", "-f", "rtsp", "-rtsp_transport", "tcp", url]
    argv = [ffmpeg.locate(), *ffmpeg.QUIET, *device, "-i", str(node), *encoder, *output]
    while True:  # until the agent has left the device
        async with child(argv) as program:
            async with anyio.create_task_group() as tg:
                tg.start_soon(_until_it_ends, program, tg.cancel_scope)
                await until(client, "get_stream_status", ready=True)
                tg.cancel_scope.cancel()
            if program.returncode is None:
                yield
                return


async def _until_it_ends(program: anyio.abc.Process, scope: anyio.CancelScope) -> None:
    await program.wait()
    scope.cancel()


@pytest.mark.timeout(1200)
async def test_snapshots_go_on_when_another_program_takes_the_camera(
    webcam: PlugWebcam, tmp_path: Path
) -> None:
    config = {**CONFIG, "storage": {"recordings_dir": tmp_path / "recordings"}}
    async with webcam(LAYOUT) as camera, running_agent(config=config) as agent:
        async with agent.client("operator") as client:
            await until(client, "get_camera_status", status="CONNECTED")
            assert await served(client) == 0
            async with other_program(client, camera.node):
                tiers = [await served(client) for _ in range(4)]
                assert 0 not in tiers
                assert 2 in tiers
            with anyio.fail_after(LIMIT_S):
                while (await served(client)) != 0:
                    await anyio.sleep(0.5)

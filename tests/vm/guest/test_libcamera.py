"""Cameras of libcamera through GStreamer, with libcamera's own virtual pipeline; no program here is ours."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import ffmpeg
from agent_core.plugin.jpeg import inspect
from agent_core.testing import children, running_agent
from tests.vm.guest.cameras import Root
from tests.vm.guest.libcamera import VirtualSensor, needs_virtual_pipeline, virtual_sensors, write

needs_virtual_pipeline()

#: The id of a Raspberry Pi's camera.
SENSOR = VirtualSensor("/base/soc/i2c0mux/i2c@1/imx219@10")
OTHER = VirtualSensor("/base/axi/pcie@120000/rp1/i2c@88000/ov5647@36", model="ov5647")
CONFIG: dict[str, Any] = {
    "plugins": {
        "enabled": ["libcamera_source", "ffmpeg_tier", "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
        "libcamera_source": {
            "list_interval_s": 5,
            "defaults": {"width": 640, "height": 480, "fps": 5},
        },
    },
    "media_server": {"start_timeout_s": 60},
    "recordings": {"start_timeout_s": 60},
}
LIMIT_S = 120
DEADLINE_MS = 60_000


class Machine:
    """Agent with libcamera's cameras, and its client."""

    def __init__(self, client: AgentClient, recordings: Path) -> None:
        self.client = client
        self.recordings = recordings

    async def call(self, method: str, device: str = "camera0", **params: Any) -> Any:
        with anyio.fail_after(LIMIT_S):
            return await self.client.call(method, device=device, **params)

    async def cameras(self) -> list[Any]:
        with anyio.fail_after(LIMIT_S):
            return list((await self.client.call("get_camera_list"))["cameras"])

    async def snapshot(self, device: str = "camera0") -> Any:
        return await self.call("take_snapshot", device, max_age_ms=0, deadline_ms=DEADLINE_MS)

    async def until(self, device: str, **wanted: Any) -> Any:
        with anyio.fail_after(LIMIT_S):
            while True:
                found = next((each for each in await self.cameras() if each["device"] == device), {})
                if wanted.items() <= found.items():
                    return found
                await anyio.sleep(0.3)


@asynccontextmanager
async def machine(tmp_path: Path) -> AsyncIterator[Machine]:
    config = {**CONFIG, "storage": {"recordings_dir": tmp_path / "recordings"}}
    async with running_agent(config=config) as agent, agent.client("operator") as client:
        yield Machine(client, tmp_path / "recordings")


def programs() -> set[int]:
    """Return the processes of gst-launch-1.0 on this machine."""
    found = set()
    for each in Path("/proc").iterdir():
        try:
            if each.name.isdigit() and (each / "comm").read_text().startswith("gst-launch"):
                found.add(int(each.name))
        except OSError:  # it has just ended
            continue
    return found


async def until_no_program() -> None:
    with anyio.fail_after(LIMIT_S):
        while programs():
            await anyio.sleep(0.1)


@pytest.mark.timeout(400)
@pytest.mark.anyio
async def test_a_camera_is_listed_and_photographed(root: Root, tmp_path: Path) -> None:
    async with virtual_sensors(root, SENSOR), machine(tmp_path) as agent:
        print(await agent.cameras(), flush=True)
        found = await agent.until("camera0", status="CONNECTED")
        print(found, flush=True)
        taken = await agent.snapshot()
        print(taken)
        assert taken["tier_used"] == 0
    await until_no_program()
    assert not children()

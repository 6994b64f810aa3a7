"""Plugin in a whole agent: a webcam is plugged in, unplugged and plugged in again, as clients see it."""

import gc
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.testing import running_agent
from tests.vm.cameras.layout import FrameSize, Layout
from tests.vm.guest.cameras import PlugWebcam

LAYOUT = Layout(serial="CAM-1", mjpeg=(FrameSize(640, 480, (10,)),), yuyv=())
CONFIG = {"plugins": {"enabled": ["v4l2_tier"]}}
LIMIT_S = 60


async def until_status(client: AgentClient, status: str) -> dict[str, Any]:
    with anyio.fail_after(LIMIT_S):
        while True:
            cameras: list[dict[str, Any]] = (await client.call("get_camera_list"))["cameras"]
            if cameras and cameras[0]["status"] == status:
                return cameras[0]
            await anyio.sleep(0.05)


async def snapshot(client: AgentClient, **params: object) -> dict[str, Any]:
    taken: dict[str, Any] = await client.call("take_snapshot", device="camera0", deadline_ms=30_000, **params)
    return taken


async def test_a_webcam_comes_goes_and_comes_back(webcam: PlugWebcam) -> None:
    texts: list[str] = []
    async with (
        running_agent(config=CONFIG, observe=texts.append) as agent,
        agent.client("operator") as client,
    ):
        assert (await client.call("get_camera_list"))["cameras"] == []
        async with webcam(LAYOUT):
            shown = await until_status(client, "CONNECTED")
            assert (shown["device"], shown["name"], shown["resolution"]) == ("camera0", "Sim Cam", "640x480")
            assert (shown["moved"], shown["ambiguous"]) == (False, False)
            offers = await client.call("get_camera_capabilities", device="camera0")
            assert offers["modes"] == [{"format": "MJPG", "width": 640, "height": 480, "fps": [10.0]}]
            assert (await snapshot(client, max_age_ms=0))["tier_used"] == 0
        gone = await until_status(client, "DISCONNECTED")
        assert gone["problem"] == "The camera was unplugged."
        with pytest.raises(CallFailed):
            await snapshot(client)
        async with webcam(LAYOUT, port=3):
            again = await until_status(client, "CONNECTED")
            assert (again["device"], again["moved"], again["ambiguous"]) == ("camera0", True, False)
            assert (await snapshot(client, max_age_ms=0))["tier_used"] == 0
    assert not [text for text in texts if "/dev/" in text]


async def test_an_unplugged_camera_ends_a_waiting_snapshot(webcam: PlugWebcam) -> None:
    async with running_agent(config=CONFIG) as agent, agent.client("operator") as client:
        async with webcam(LAYOUT) as camera, anyio.create_task_group() as tg:
            await until_status(client, "CONNECTED")
            await camera.set_fault("stall")
            ended: list[str] = []

            async def wait() -> None:
                with pytest.raises(CallFailed) as caught:
                    await snapshot(client, max_age_ms=0)
                ended.append(caught.value.reason)

            tg.start_soon(wait)
            await anyio.sleep(1)
            with anyio.fail_after(LIMIT_S):
                await camera.unplug()
                while not ended:
                    await anyio.sleep(0.02)
        assert ended


async def test_the_idle_agent_is_small(webcam: PlugWebcam) -> None:
    """Memory of the plugin itself, after a probe and before the first capture."""
    before = resident_bytes()
    async with running_agent(config=CONFIG) as agent, agent.client("viewer") as client, webcam(LAYOUT):
        await until_status(client, "CONNECTED")
        gc.collect()
        print(f"resident before {before >> 20} MiB, with an agent {resident_bytes() >> 20} MiB")  # noqa: T201 - a measurement
        assert resident_bytes() - before < 60 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

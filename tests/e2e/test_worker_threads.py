"""The agent's work waits neither for the shared worker threads nor for the conversion of pictures."""

import io
import math
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from PIL import Image

from agent_core.base.errors import RateLimited
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.client import AgentClient, CallFailed
from agent_core.snapshots.converter import MAX_WAITING
from agent_core.snapshots.images import Wanted
from agent_core.testing.agents import RunningAgent, running_agent

from .media import CAMERA


@pytest.fixture
async def agent(observe: Callable[[str], None]) -> AsyncIterator[RunningAgent]:
    plugins = {
        "enabled": ["virtual_camera", "ffmpeg_tier", "embedded_server"],
        "virtual_camera": {"cameras": [dict(CAMERA)]},
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    }
    async with running_agent(config={"plugins": plugins}, observe=observe) as agent:
        yield agent


async def call(client: AgentClient, method: str, **params: Any) -> Any:
    with anyio.fail_after(40):
        return await client.call(method, **params)


@asynccontextmanager
async def shared_threads_taken() -> AsyncIterator[None]:
    """All threads that are taken by who names no others hang, as at a device or a disk."""
    release = threading.Event()
    limiter = anyio.to_thread.current_default_thread_limiter()

    def hang() -> None:
        release.wait()

    async with anyio.create_task_group() as tg:
        for _ in range(int(limiter.total_tokens) + 1):
            tg.start_soon(anyio.to_thread.run_sync, hang)
        with anyio.fail_after(20):
            while limiter.statistics().tasks_waiting == 0:
                await anyio.sleep(0.005)
        try:
            yield
        finally:
            release.set()


async def test_everything_works_while_the_shared_threads_hang(agent: RunningAgent) -> None:
    async with agent.client() as client, shared_threads_taken():
        started = await call(client, "start_recording", device="camera0", wait=True)
        assert started["status"] == "RECORDING"
        snapshot = await call(client, "take_snapshot", device="camera0", width=100, format="png")
        assert snapshot["resolution"] == "100x75"
        assert (await call(client, "list_snapshots"))["total"] == 1
        info = await call(client, "get_snapshot_info", filename=snapshot["filename"])
        assert info["resolution"] == "100x75"
        stopped = await call(client, "stop_recording", device="camera0")
        assert stopped["segments"]
        listed = await call(client, "list_recordings")
        assert [each["filename"] for each in listed["files"]] == [started["filename"]]
        recording = await call(client, "get_recording_info", filename=started["filename"])
        assert recording["complete"]
        async with httpx.AsyncClient(base_url=agent.http_url, timeout=40) as http:
            assert (await http.get(snapshot["download_url"])).status_code == 200
            assert (await http.get(recording["download_url"])).status_code == 200


def large_picture() -> Picture:
    output = io.BytesIO()
    Image.effect_noise((4000, 3000), 80).convert("RGB").save(output, "JPEG", quality=80)
    return Picture(output.getvalue(), PictureFormat.JPG, 4000, 3000, 0.0, CapturedAtSource.DEVICE)


async def test_recordings_do_not_wait_for_pictures(agent: RunningAgent) -> None:
    """The conversions and their queue are full of pictures that take seconds each."""
    converter, large = agent.parts.snapshots.converter, large_picture()
    refused = anyio.Event()

    async def convert(width: int) -> None:
        try:
            await converter.convert(large, Wanted(PictureFormat.PNG, width), deadline_s=math.inf)
        except RateLimited:
            refused.set()

    async with agent.client() as client, anyio.create_task_group() as tg:
        for number in range(4 * MAX_WAITING):
            tg.start_soon(convert, 4000 - number)
        with anyio.fail_after(30):
            await refused.wait()
        started = await call(client, "start_recording", device="camera0", wait=True)
        assert started["status"] == "RECORDING"
        with pytest.raises(CallFailed) as caught:
            await call(client, "take_snapshot", device="camera0", format="png", deadline_ms=1000)
        assert caught.value.reason in {"busy", "deadline_exceeded"}
        assert (await call(client, "take_snapshot", device="camera0"))["resolution"] == "320x240"
        assert (await call(client, "stop_recording", device="camera0"))["segments"]
        assert (await call(client, "list_recordings"))["total"] == 1
        tg.cancel_scope.cancel()

"""Snapshots of cameras with H.264 or H.265 alone, in whole agents without a media server."""

import os
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.testing import children
from agent_core.testing.agents import RunningAgent, running_agent
from agent_core.testing.waiting import eventually
from virtual_camera import burnt_in

from .scraped import scrape

Observe = Callable[[str], None]
#: The marks have whole milliseconds.
ROUNDING = timedelta(milliseconds=2)
CODECS = ("h264", "h265")


@asynccontextmanager
async def photographed(
    observe: Observe, *tiers: str, codecs: Sequence[str] = ("h264",), **camera: Any
) -> AsyncIterator[tuple[RunningAgent, AgentClient]]:
    """An agent with these tiers, and a camera of each codec."""
    cameras = [
        {"name": f"Test {number}", "id": f"camera{number}", "codec": codec, **camera}
        for number, codec in enumerate(codecs)
    ]
    config = {
        "plugins": {"enabled": ["virtual_camera", *tiers], "virtual_camera": {"cameras": cameras}},
        "snapshots": {"tier_budget_s": [20, 20, 20, 20]},
    }
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        yield agent, client


async def judged(client: AgentClient, device: str = "camera0", *, max_age_ms: int = 0) -> Any:
    """Take a picture, and assert that it is as new as was asked, and no older than it says."""
    called_at = datetime.now(UTC)
    with anyio.fail_after(50):
        snapshot: Any = await client.call(
            "take_snapshot", device=device, max_age_ms=max_age_ms, deadline_ms=40_000
        )
    mark = burnt_in.read(Path(snapshot["file_path"]).read_bytes())
    assert mark.drawn_at >= called_at - timedelta(milliseconds=max_age_ms) - ROUNDING, snapshot
    assert datetime.fromisoformat(snapshot["captured_at"]) <= mark.drawn_at + ROUNDING, snapshot
    return snapshot


@pytest.mark.timeout(150)
@pytest.mark.parametrize("key_interval_s", [0.5, 10])
async def test_tier_0_decodes_what_the_camera_sends_from_one_connection(
    observe: Observe, key_interval_s: float
) -> None:
    async with photographed(
        observe, "rtsp_tier", "ffmpeg_tier", codecs=CODECS, key_interval_s=key_interval_s
    ) as (agent, client):
        for device in ("camera0", "camera1"):
            for age_ms in (0, 0, 300, 2000, *[0] * 16):
                taken = await judged(client, device, max_age_ms=age_ms)
                assert (taken["tier_used"], taken["tier_name"]) == (0, "decoded_frames"), taken
                assert (taken["captured_at_source"], taken["settled"]) == ("device", True)
        async with httpx.AsyncClient() as http:
            seen = await scrape(http, agent)
        assert seen.get("snapshot_duration_seconds_count", tier="decoded_frames", rank="0") == 40


async def test_two_cameras_are_photographed_at_once(observe: Observe) -> None:
    async with photographed(observe, "rtsp_tier", codecs=CODECS) as (_, client):

        async def photograph(device: str) -> None:
            for _ in range(5):
                await judged(client, device)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(photograph, "camera0")
            tasks.start_soon(photograph, "camera1")


async def test_without_device_times_the_arrival_dates_the_picture(observe: Observe) -> None:
    async with photographed(observe, "rtsp_tier", timestamps="arrival") as (_, client):
        taken = await judged(client)
        assert (taken["tier_name"], taken["captured_at_source"]) == ("decoded_frames", "arrival")


@pytest.mark.parametrize("codec", CODECS)
async def test_without_the_decoder_ffmpeg_takes_the_picture(observe: Observe, codec: str) -> None:
    async with photographed(observe, "ffmpeg_tier", codecs=[codec]) as (_, client):
        for age_ms in (0, 2000):
            taken = await judged(client, max_age_ms=age_ms)
            assert (taken["tier_used"], taken["tier_name"]) == (1, "ffmpeg")


def end_decoders() -> None:
    for pid in children():
        with suppress(FileNotFoundError, ProcessLookupError):
            if "rtsp_tier.worker" in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(150)
async def test_while_the_decoder_fails_ffmpeg_serves_and_the_result_says_why(observe: Observe) -> None:
    async with photographed(observe, "rtsp_tier", "ffmpeg_tier") as (_, client):

        async def fail() -> None:
            while True:
                end_decoders()
                await anyio.sleep(0.01)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            for _ in range(2):
                taken = await judged(client)
                assert (taken["tier_used"], taken["tier_name"]) == (1, "ffmpeg")
                (tried,) = taken["tiers_tried"]
                assert tried["name"] == "decoded_frames"
                assert tried["reason"] in {"worker_failed", "recently_failed"}
            tasks.cancel_scope.cancel()

        async def is_back() -> bool:
            return bool((await judged(client))["tier_name"] == "decoded_frames")

        await eventually(is_back, timeout_s=50)


async def test_without_any_tier_the_agent_names_the_plugin_that_decodes(observe: Observe) -> None:
    async with photographed(observe) as (_, client):
        with pytest.raises(CallFailed) as caught:
            await client.call("take_snapshot", device="camera0")
        assert caught.value.suggestion == "Enable the plugin rtsp_tier, which decodes the camera's own video."

"""Metrics of a live stream are of that stream, with publishers of the server and of the agent."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.mediamtx.client import MediaServerClient
from agent_core.testing.mediamtx import MediaServerUnderTest

from .media import CAMERA, Rig, gone, media_rig, publishers


async def status_with_bitrate(rig: Rig) -> dict[str, Any]:
    with anyio.fail_after(20):
        while True:
            metrics: dict[str, Any] = (await rig.call("get_stream_status"))["metrics"]
            if "bitrate" in metrics and metrics["frames_sent"]:
                return metrics
            await anyio.sleep(0.2)


@pytest.mark.parametrize("publisher", ["server", "agent"])
async def test_bitrate_and_frames_are_those_of_the_stream(
    media_server: MediaServerUnderTest, publisher: str, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with (
        media_rig(
            media_server.name, tmp_path, observe, server=media_server, media_server={"publishers": publisher}
        ) as rig,
        MediaServerClient(media_server.api_url) as other,
    ):
        idle = (await rig.call("get_stream_status"))["metrics"]
        assert idle.keys() == {"bytes_sent"}
        await rig.call("start_streaming")
        before, began_s = await other.path("camera0"), time.monotonic()
        first = await status_with_bitrate(rig)
        await anyio.sleep(6)
        last = await status_with_bitrate(rig)
        after, took_s = await other.path("camera0"), time.monotonic() - began_s
        assert before is not None
        assert after is not None
        truth = 8 * (after.inbound_bytes - before.inbound_bytes) / took_s
        assert truth / 3 < last["bitrate"] < 3 * truth
        assert 0 < last["frames_sent"] - first["frames_sent"] <= 2 * (took_s + 2) * CAMERA["fps"]
        assert last["frames_sent"] >= 3 * CAMERA["fps"]
        await rig.call("stop_streaming")
        await gone(publishers(), 20)
        await rig.until("get_stream_status", ready=False)
        ended = (await rig.call("get_stream_status"))["metrics"]
        assert ended.keys() == {"bytes_sent"}

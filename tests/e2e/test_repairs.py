"""A media server that forgets or is tampered with: the agent restores its paths."""

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, EventStream
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.testing import running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest
from agent_core.testing.waiting import eventually

#: The issue allows 2 s once the API answers; a loaded machine gets some more.
REPAIR_LIMIT_S = 15


def config(server: MediaServerUnderTest) -> dict[str, Any]:
    return {
        "plugins": {
            "enabled": ["virtual_camera", "ffmpeg_tier"],
            "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0", "width": 320, "height": 240}]},
        },
        "media_server": {"mode": "external", "api_url": server.api_url, "rtsp_url": server.rtsp_url},
        "recordings": {"stall_s": 3.0},
    }


async def size_bytes(client: AgentClient, recording: str) -> int:
    return int((await client.call("get_recording_info", filename=recording))["file_size"])


async def grows(client: AgentClient, recording: str) -> None:
    before = await size_bytes(client, recording)
    with anyio.fail_after(REPAIR_LIMIT_S):
        while await size_bytes(client, recording) <= before:
            await anyio.sleep(0.1)


async def delete_it(server: MediaServerClient) -> None:
    await server.delete_path("camera0")


async def stop_recording_it(server: MediaServerClient) -> None:
    await server.patch_path("camera0", PathConf(record=False))


async def record_it_elsewhere(server: MediaServerClient) -> None:
    await server.patch_path("camera0", PathConf(record_segment_duration_s=7))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tamper", [delete_it, stop_recording_it, record_it_elsewhere])
async def test_a_path_that_another_client_changes_is_repaired_and_the_recording_goes_on(
    any_media_server: MediaServerUnderTest,
    observe: Callable[[str], None],
    tamper: Callable[[MediaServerClient], Any],
) -> None:
    async with (
        running_agent(config=config(any_media_server), observe=observe) as agent,
        agent.client() as client,
    ):
        started = await client.call("start_recording", device="camera0", wait=True)
        recording = started["filename"]
        async with MediaServerClient(any_media_server.api_url) as other:
            async with client.subscribe(["system.health"]) as events:
                await tamper(other)
                await eventually(lambda: as_it_should_be(other))
                await told_of_repair(events)
        await grows(client, recording)
        stopped = await client.call("stop_recording", device="camera0")
    assert stopped["filename"] == recording
    assert len(stopped["segments"]) >= 1
    assert all(segment["duration"] > 0 for segment in stopped["segments"])


async def told_of_repair(events: EventStream) -> None:
    with anyio.fail_after(REPAIR_LIMIT_S):
        async for event in events:
            if "repaired" in str(event.params.get("reason")):
                return


async def as_it_should_be(server: MediaServerClient) -> bool:
    conf = await server.path_config("camera0")
    return conf is not None and conf.record is True and conf.record_segment_duration_s == 3600


async def test_an_idle_path_that_was_forgotten_is_back_before_it_is_used(
    any_media_server: MediaServerUnderTest, observe: Callable[[str], None]
) -> None:
    async with (
        running_agent(config=config(any_media_server), observe=observe) as agent,
        agent.client() as client,
    ):
        await client.call("get_stream_url", device="camera0")
        async with MediaServerClient(any_media_server.api_url) as other:
            await other.delete_path("camera0")
            await eventually(lambda: is_gone(other))
        with anyio.fail_after(REPAIR_LIMIT_S):
            assert (await client.call("start_streaming", device="camera0"))["status"] == "STARTED"


async def is_gone(server: MediaServerClient) -> bool:
    return await server.path_config("camera0") is None and await server.path("camera0") is None

"""Reload of media, retention and limits while a media server records: they take effect, and the recording goes on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, EventStream
from agent_core.mediamtx.client import MediaServerClient
from tests.media_servers import running_server

from .conftest import AgentProcess, AgentProcessFactory
from .media import connected, decoded, is_gapless

CONFIG = """
[plugins]
enabled = ["virtual_camera", "ffmpeg_tier"]
[[plugins.virtual_camera.cameras]]
name = "Test"
id = "camera0"
width = 320
height = 240
fps = 15
[media_server]
mode = "external"
api_url = "{api_url}"
rtsp_url = "{rtsp_url}"
"""
#: Continues the table [media_server].
CHANGES = """
host = "192.0.2.7"
[recordings]
max_count = 1
[server]
max_calls = 3
[health]
low_space_bytes = 2000000
"""
CHANGED = ["health.low_space_bytes", "media_server.host", "recordings.max_count", "server.max_calls"]


async def recorded(client: AgentClient) -> str:
    """Make a recording that has ended; return its id."""
    started = await client.call("start_recording", device="camera0", wait=True)
    await client.call("stop_recording", device="camera0")
    return str(started["filename"])


async def until_listed(client: AgentClient, *wanted: str) -> None:
    """Wait until these recordings are there, and no others."""
    with anyio.fail_after(30):
        while {each["filename"] for each in (await client.call("list_recordings"))["files"]} != {*wanted}:
            await anyio.sleep(0.05)


async def until_larger(file: Path, than_bytes: int) -> None:
    with anyio.fail_after(30):
        while file.stat().st_size <= than_bytes:
            await anyio.sleep(0.05)


def the_file(agent: AgentProcess, recording: str) -> Path:
    """Return the only media file of a recording."""
    (file,) = (agent.folder / "state" / "recordings" / "camera0" / recording).glob("*.mp4")
    return file


async def told_until_stop(events: EventStream, recording: str) -> list[str]:
    """Return the topics of all events about the recording, up to its end."""
    topics: list[str] = []
    with anyio.fail_after(20):
        async for event in events:
            if event.params.get("filename") == recording:
                topics.append(event.topic)
            if topics and topics[-1] == "recording.stop":
                break
    return topics


@pytest.mark.timeout(120)
async def test_a_recording_goes_on_over_a_reload(
    server_kind: str, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    async with running_server(server_kind, tmp_path / "media_server") as server:
        config = CONFIG.format(api_url=server.api_url, rtsp_url=server.rtsp_url)
        async with (
            agent_process(config) as agent,
            agent.client("admin") as client,
            MediaServerClient(server.api_url) as at_server,
        ):
            await connected(client)
            older = [await recorded(client) for _ in range(2)]
            running = (await client.call("start_recording", device="camera0", wait=True))["filename"]
            file, before = the_file(agent, running), await at_server.path("camera0")
            async with client.subscribe(["recording.stop", "recording.error"], "camera0") as events:
                assert await reloaded(agent, client) == CHANGED
                reloaded_at, size_bytes = datetime.now(UTC), file.stat().st_size
                url = (await client.call("get_stream_url", device="camera0"))["stream_url"]
                assert url.startswith("rtsp://192.0.2.7:")
                await until_listed(client, older[1], running)
                await until_larger(file, size_bytes + 50_000)
                after = await at_server.path("camera0")
                assert before is not None
                assert after is not None
                assert (after.live, after.live_since) == (True, before.live_since)
                stopped = await client.call("stop_recording", device="camera0")
                assert await told_until_stop(events, running) == ["recording.stop"]
            assert (stopped["filename"], len(stopped["segments"]), stopped.get("reason")) == (
                running,
                1,
                None,
            )
            pictures = await decoded(the_file(agent, running))
    assert is_gapless(pictures)
    assert pictures[0].drawn_at < reloaded_at < pictures[-1].drawn_at


async def reloaded(agent: AgentProcess, client: AgentClient) -> list[str]:
    """Write the changes, reload, and return the keys that have taken effect; there are no others."""
    file = agent.folder / "config.toml"
    file.write_text(file.read_text() + CHANGES)
    told: dict[str, Any] = await client.call("reload_configuration")
    assert (told["needs_restart"], told["notes"], told["errors"]) == ([], [], [])
    return sorted(told["changed"])

"""Calls with an API key while the agent's secret is unusable."""

from typing import Any

import anyio
import pytest

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from agent_core.client import AgentClient
from agent_core.testing import running_agent

CONFIG = {
    "plugins": {
        "enabled": ["virtual_camera", "ffmpeg_tier", "embedded_server"],
        "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}]},
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    }
}


def links(value: Any) -> list[str]:
    """Return every `download_url` in a result."""
    if isinstance(value, list):
        return [link for each in value for link in links(each)]
    if not isinstance(value, dict):
        return []
    own = [value["download_url"]] if "download_url" in value else []
    return own + links(list(value.values()))


async def results(client: AgentClient) -> dict[str, Any]:
    """Return the results of the methods about files, and the event of a snapshot."""
    async with client.subscribe(["snapshot.taken"]) as events:
        taken = await client.call("take_snapshot", device="camera0")
        with anyio.fail_after(20):
            event = await anext(events)
    return {
        "taken": taken,
        "event": event.params,
        "snapshots": await client.call("list_snapshots"),
        "snapshot": await client.call("get_snapshot_info", filename=taken["filename"]),
        "recordings": await client.call("list_recordings"),
    }


@pytest.mark.parametrize("secret", ["short", None])
async def test_an_api_key_works_without_a_secret_and_results_have_no_links(secret: str | None) -> None:
    async with running_agent(config=CONFIG) as agent:
        key = ApiKeys(agent.folder / "state/api-keys.json", SystemClock()).create("robot", Role.ADMIN)
        async with AgentClient(agent.url, key) as client:
            started: Any = await client.call("start_recording", device="camera0", wait=True)
            await client.call("stop_recording", device="camera0")
            before = await results(client)
            assert all(links(each) for each in before.values())
            file = agent.folder / "state/secret"
            file.unlink()
            if secret is None:
                file.mkdir()
            else:
                file.write_text(secret)
            async with AgentClient(agent.url, key):
                pass  # whoever authenticates has the changed files read
            after = await results(client)
            after["recording"] = await client.call("get_recording_info", filename=started["filename"])
            assert links(list(after.values())) == []
            assert after["snapshots"]["total"] == 2
            taken = after["taken"]
            assert after["event"]["filename"] == taken["filename"]
            picture = await client.download(taken["filename"], size_bytes=taken["file_size"])
            assert len(picture) == taken["file_size"]

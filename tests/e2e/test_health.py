"""A media server that hangs: callers fail fast, everybody else notices nothing, and it is back at once."""

import signal
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed, EventStream
from agent_core.testing import running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest

CAMERAS = {
    "enabled": ["virtual_camera", "ffmpeg_tier"],
    "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0", "width": 320, "height": 240}]},
}


def config(server: MediaServerUnderTest) -> dict[str, Any]:
    media_server = {"mode": "external", "api_url": server.api_url, "rtsp_url": server.rtsp_url}
    unlimited = {"calls_per_s": 1e6, "calls_burst": 1_000_000}  # the loops below must not meet that limit
    return {"plugins": CAMERAS, "media_server": media_server, "auth": unlimited}


async def failure(client: AgentClient) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        await client.call("get_stream_url", device="camera0")
    return caught.value


async def until_open(client: AgentClient) -> CallFailed:
    with anyio.fail_after(20):
        while (error := await failure(client)).reason != "circuit_open":
            assert error.code == -32050
    return error


@pytest.mark.timeout(120)
async def test_a_stopped_server_opens_the_circuit_and_is_told_of(
    any_media_server: MediaServerUnderTest, observe: Callable[[str], None]
) -> None:
    async with running_agent(config=config(any_media_server), observe=observe) as agent:
        async with agent.client("admin") as client, client.subscribe(["system.health"]) as events:
            await client.call("get_stream_url", device="camera0")
            assert (await metrics(client))["age_ms"] == 0
            any_media_server.signal(signal.SIGSTOP)
            try:
                error = await until_open(client)
                assert error.suggestion
                await told_of(events, "is open")
                assert (await metrics(client))["age_ms"] > 0  # what was seen last, and how old it is
                await health_is(client, "UNHEALTHY")
            finally:
                any_media_server.signal(signal.SIGCONT)
            with anyio.fail_after(3):
                await answered(client)
            await told_of(events, "is closed")
            await health_is(client, "HEALTHY")


async def told_of(events: EventStream, words: str) -> None:
    with anyio.fail_after(20):
        async for event in events:
            if words in str(event.params.get("reason")):
                return


async def metrics(client: AgentClient) -> dict[str, Any]:
    told: dict[str, Any] = (await client.call("get_camera_status", device="camera0"))["metrics"]
    return told


async def answered(client: AgentClient) -> None:
    while True:
        try:
            await client.call("get_stream_url", device="camera0")
        except CallFailed:
            await anyio.sleep(0.05)
        else:
            return


async def health_is(client: AgentClient, status: str) -> None:
    with anyio.fail_after(20):
        while (await client.call("get_status"))["status"] != status:
            await anyio.sleep(0.05)


async def test_status_is_answered_from_memory_with_components_and_checks(
    observe: Callable[[str], None],
) -> None:
    plugins = CAMERAS | {
        "enabled": [*CAMERAS["enabled"], "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    }
    async with running_agent(config={"plugins": plugins}, observe=observe) as agent:
        async with agent.client("admin") as client:
            for name in ("media_server", "disk"):  # each is looked at in its own time
                await checked(client, name)
            status = await client.call("get_status")
    assert status["components"]["websocket_server"] == "RUNNING"
    assert status["components"]["embedded_server"] == "RUNNING"
    assert {check["name"] for check in status["checks"]} >= {"media_server", "disk"}
    assert all(check["since"] for check in status["checks"])


async def checked(client: AgentClient, name: str) -> None:
    with anyio.fail_after(20):
        while name not in {check["name"] for check in (await client.call("get_status"))["checks"]}:
            await anyio.sleep(0.05)

"""The agent's report about its media server: its state, its protocols, and what the agent offers with it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_core.client import AgentClient
from agent_core.testing import RunningAgent, running_agent
from agent_core.testing.mediamtx import find_mediamtx, free_ports, running_mediamtx
from agent_core.testing.waiting import eventually
from tests.media_servers import running_server

CAMERAS = {
    "enabled": ["virtual_camera", "ffmpeg_tier"],
    "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0", "width": 320, "height": 240}]},
}
EMBEDDED = {
    "plugins": CAMERAS
    | {
        "enabled": [*CAMERAS["enabled"], "embedded_server"],
        "embedded_server": {"api_port": 0, "rtsp_port": 0},
    }
}
_ANY_PORT = dict.fromkeys(("api_port", "rtsp_port", "hls_port", "webrtc_port", "webrtc_udp_port"), 0)


def external(api_url: str, rtsp_url: str) -> dict[str, Any]:
    return {
        "plugins": CAMERAS,
        "media_server": {"mode": "external", "api_url": api_url, "rtsp_url": rtsp_url},
    }


def program() -> str:
    found = find_mediamtx()
    if found is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    return found


@asynccontextmanager
async def agent_in_mode(
    mode: str, folder: Path, observe: Callable[[str], None]
) -> AsyncIterator[RunningAgent]:
    """Run an agent whose media server is embedded, managed or external."""
    if mode == "embedded":
        async with running_agent(config=EMBEDDED, observe=observe) as agent:
            yield agent
    elif mode == "managed":
        managed = {
            "plugins": CAMERAS,
            "media_server": {"mode": "managed", "program": program(), **_ANY_PORT},
        }
        async with running_agent(config=managed, observe=observe) as agent:
            yield agent
    else:
        async with running_server("embedded", folder / "media_server") as server:
            config = external(server.api_url, server.rtsp_url)
            async with running_agent(config=config, observe=observe) as agent:
                yield agent


async def until_ready(client: AgentClient) -> None:
    async def is_ready() -> bool:
        return bool((await client.call("get_system_status"))["status"] == "ready")

    await eventually(is_ready, timeout_s=30)


async def served(client: AgentClient) -> list[str]:
    (camera,) = (await client.call("get_camera_list"))["cameras"]
    return list(camera["served"])


async def components(client: AgentClient) -> Mapping[str, str]:
    told: Mapping[str, str] = (await client.call("get_status"))["components"]
    return told


@pytest.mark.parametrize(
    "mode", ["embedded", pytest.param("managed", marks=pytest.mark.real_mediamtx), "external"]
)
async def test_the_media_server_is_a_component_called_mediamtx_in_every_mode(
    mode: str, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    async with agent_in_mode(mode, tmp_path, observe) as agent, agent.client("admin") as client:
        await until_ready(client)
        assert (await components(client))["mediamtx"] == "RUNNING"
        async with client.subscribe(["system.health"]) as events:
            agent.parts.media.health.tell("Now.")
            event = await anext(aiter(events))
        assert event.params["components"] == await components(client)


@pytest.mark.parametrize("kind", ["embedded", pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)])
async def test_an_external_server_that_is_down_is_a_problem_until_it_answers(
    kind: str, tmp_path: Path, observe: Callable[[str], None]
) -> None:
    ports = free_ports()
    user = "camera-agent:of-a-test@" if kind == "embedded" else ""
    config = external(f"http://{user}127.0.0.1:{ports[0]}", f"rtsp://127.0.0.1:{ports[1]}")
    async with running_agent(config=config, observe=observe) as agent, agent.client("admin") as client:
        statuses = set[str]()

        async def has_problem() -> list[Any]:
            told = await client.call("get_system_status")
            statuses.add(told["status"])
            return list(told["problems"])

        (problem,) = await eventually(has_problem, timeout_s=30)
        assert problem["code"] == -32050
        assert problem["reason"] in {
            "connection_refused",
            "timed_out",
        }  # the probe is short for a loaded machine
        assert "ready" not in statuses
        assert await served(client) == []
        assert (await components(client))["mediamtx"] == "ERROR"
        async with running_server(kind, tmp_path / "media_server", ports=ports):
            await until_ready(client)
            assert await served(client) == ["rtsp"]
            assert (await components(client))["mediamtx"] == "RUNNING"
        (problem,) = await eventually(has_problem, timeout_s=30)
        assert await served(client) == []


@pytest.mark.real_mediamtx
@pytest.mark.parametrize("protocols", [("hls",), ("webrtc",), ("hls", "webrtc")])
async def test_only_the_protocols_that_an_external_server_has_switched_on_are_served(
    protocols: tuple[str, ...], tmp_path: Path, observe: Callable[[str], None]
) -> None:
    settings = dict.fromkeys(protocols, True) | {
        "hlsAddress": "127.0.0.1:0",
        "webrtcAddress": "127.0.0.1:0",
        "webrtcLocalUDPAddress": "127.0.0.1:0",
    }
    async with running_mediamtx(program(), tmp_path, settings=settings) as server:
        config = external(server.api_url, server.rtsp_url)
        async with running_agent(config=config, observe=observe) as agent, agent.client("admin") as client:
            await until_ready(client)
            assert await served(client) == ["rtsp", *protocols]


async def test_an_agent_tells_what_it_offers(observe: Callable[[str], None]) -> None:
    async with running_agent(config=EMBEDDED, observe=observe) as agent, agent.client() as client:
        await until_ready(client)
        info = await client.call("get_server_info")
    assert info["capabilities"] == ["snapshots", "recording", "streaming", "events"]
    assert info["supported_formats"] == ["jpg", "png", "fmp4", "mpegts", "rtsp"]
    assert info["max_cameras"] > 0
    assert all(each["version"] for each in info["plugins"])


async def test_an_agent_without_a_media_server_offers_neither_streams_nor_recordings(
    observe: Callable[[str], None],
) -> None:
    async with running_agent(config={"plugins": CAMERAS}, observe=observe) as agent:
        async with agent.client("admin") as client:
            info = await client.call("get_server_info")
            assert (await components(client))["mediamtx"] == "STOPPED"
            assert await served(client) == []
    assert info["capabilities"] == ["snapshots", "events"]
    assert info["supported_formats"] == ["jpg", "png"]

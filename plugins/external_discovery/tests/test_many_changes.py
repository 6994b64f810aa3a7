"""Streams that are added and removed again and again, over restarts, and while the plugin is switched off."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent_core.testing.mediamtx import MediaServerUnderTest
from tests.media_servers import running_server

from .network.agents import ExternalAgent, external_agent, userinfo
from .network.cameras import USER, running_camera
from .network.clips import Clips
from .network.lan import Network
from .network.odd import describes, running_odd

Observe = Callable[[str], None]
_CYCLES = 300


@pytest.mark.timeout(240)
async def test_300_cycles_with_restarts_leave_nothing_behind(
    network: Network, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    """Ten streams stay all the time. Ids, list and media server agree whenever they are compared."""
    host = network.add_host("cameras")
    urls = [f"rtsp://{host.v4}/{number}" for number in range(10)]
    async with running_odd(host, describes()), _server(server_kind, tmp_path) as server:
        devices: dict[str, str] = {}
        ids: list[str] = []
        for turn in range(3):
            async with _agent(server_kind, tmp_path, observe, server) as agent:
                for url in urls if not turn else ():
                    devices[url] = await agent.add(url, f"stays {url[-1]}")
                await _agrees(agent, devices)
                for number in range(_CYCLES // 3):
                    url = f"rtsp://[{host.v6}]/cycle/{turn}/{number % 7}"
                    added = await agent.call(
                        "add_external_stream", None, stream_url=url, stream_name=f"{number}"
                    )
                    ids.append(added["device"])
                    await agent.remove(url)
                    if number % 25 == 0:
                        await _agrees(agent, devices)
                await _agrees(agent, devices)
        assert not set(ids) & set(devices.values())
        assert len(set(ids)) == 21, "a stream that comes back has its id again"


async def test_streams_come_back_with_the_plugin(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("camera")
    camera = running_camera(host, tmp_path / "camera", clips.h264(), server="embedded", password="digest")
    async with camera as at, _server(server_kind, tmp_path) as server:
        async with _agent(server_kind, tmp_path, observe, server) as agent:
            device = await agent.add(at.url(user=userinfo()), "Gate")
            recording = await agent.record(device)
        _assert_private(tmp_path)
        async with _agent(server_kind, tmp_path, observe, server, enabled=False) as agent:
            error = await agent.refused("get_external_streams", None)
            assert (error.code, error.data["feature"]) == (-32030, "external_discovery")
            assert "CONNECTED" not in (await agent.cameras()).values()
            info = await agent.call("get_recording_info", None, filename=recording["filename"])
            assert info["device"] == device
        async with _agent(server_kind, tmp_path, observe, server) as agent:
            await agent.rig.until("get_camera_status", device, status="CONNECTED")
            (stream,) = (await agent.known()).values()
            assert (stream["device"], stream["name"], stream["url"]) == (device, "Gate", at.url())
            assert (await agent.call("take_snapshot", device))["tier_used"] in (2, 3)


@asynccontextmanager
async def _server(kind: str, folder: Path) -> AsyncIterator[MediaServerUnderTest | None]:
    """The media server beside the agents, which lasts longer than they; None for the one inside."""
    if kind == "embedded":
        yield None
        return
    async with running_server(kind, folder / "media_server") as server:
        yield server


@asynccontextmanager
async def _agent(
    kind: str,
    folder: Path,
    observe: Observe,
    server: MediaServerUnderTest | None,
    *,
    enabled: bool = True,
) -> AsyncIterator[ExternalAgent]:
    storage = {"state_dir": folder / "state", "runtime_dir": folder / "run"}
    settings: dict[str, Any] | None = {} if enabled else None
    running = external_agent(kind, folder, observe, settings, server=server, storage=storage)
    async with running as agent:
        yield agent


async def _agrees(agent: ExternalAgent, devices: dict[str, str]) -> None:
    known = await agent.known()
    assert {url: each["device"] for url, each in known.items()} == devices
    cameras = await agent.cameras()
    there = {device for device, status in cameras.items() if status == "CONNECTED"}
    assert there == set(devices.values())
    await agent.until_paths(there)


def _assert_private(folder: Path) -> None:
    """Only the agent's account may read the files that hold the password; no other file holds it."""
    holders = [
        path
        for path in folder.rglob("*")
        if path.is_file() and USER.password.encode() in _without_escapes(path)
    ]
    kept = [path for path in holders if "camera" not in path.relative_to(folder).parts]
    assert kept
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert all(path.is_relative_to(folder / "state") for path in kept)


def _without_escapes(path: Path) -> bytes:
    data = path.read_bytes()
    try:
        return json.dumps(json.loads(data), ensure_ascii=False).encode()
    except ValueError:
        return data

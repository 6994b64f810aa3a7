"""What befalls an agent while streams are added or searched for: kills, full disks, other agents, its own end."""

import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, AgentUnreachable, CallFailed, ConnectionLost
from tests.e2e.conftest import AgentProcess, AgentProcessFactory

from .network.agents import external_agent, settings_for
from .network.cameras import running_camera
from .network.clips import Clips
from .network.lan import Network
from .network.odd import describes, is_silent, running_odd

Observe = Callable[[str], None]

_CONFIG = """
[plugins]
enabled = ["ffmpeg_tier", "rtsp_tier", "embedded_server", "external_discovery"]
[plugins.embedded_server]
api_port = 0
rtsp_port = 0
"""


@pytest.mark.timeout(120)
async def test_what_was_answered_before_a_kill_is_there_after_it(
    network: Network, agent_process: AgentProcessFactory
) -> None:
    host = network.add_host("cameras")
    answered: dict[str, str] = {}
    async with running_odd(host, describes()):
        for turn in range(3):
            async with _started(agent_process) as agent, agent.client("admin") as client:
                assert await _devices(client) == answered
                async with anyio.create_task_group() as tasks:
                    for number in range(6):
                        url = f"rtsp://{host.v4}/{turn}/{number}"
                        tasks.start_soon(_add, client, url, answered)
                    with anyio.fail_after(20):
                        while len(answered) < 6 * turn + 2:
                            await anyio.sleep(0.001)
                    await agent.end(signal.SIGKILL)
            async with _started(agent_process) as agent, agent.client("admin") as client:
                there = await _devices(client)
                assert there.items() >= answered.items()
                assert len(set(there.values())) == len(there)
                answered = there


@asynccontextmanager
async def _started(agent_process: AgentProcessFactory) -> AsyncIterator[AgentProcess]:
    async with agent_process(_CONFIG) as agent:
        yield agent
    (agent.folder / "state" / "endpoint.json").unlink(missing_ok=True)  # a killed agent leaves it


async def _add(client: AgentClient, url: str, answered: dict[str, str]) -> None:
    try:
        added = await client.call("add_external_stream", stream_url=url, stream_name=url)
    except (ConnectionLost, AgentUnreachable):
        return
    answered[url] = added["device"]


async def _devices(client: AgentClient) -> dict[str, str]:
    listed = await client.call("get_external_streams")
    return {each["url"]: each["device"] for each in listed["external_streams"]}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=8m", "camera-agent-test", str(folder)]
    if subprocess.run(words, check=False).returncode != 0:
        pytest.skip("mounting a tmpfs needs root and mount(8)")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_full_disk_refuses_a_stream_and_keeps_the_others(
    network: Network, tmp_path: Path, small_disk: Path, observe: Observe
) -> None:
    host = network.add_host("cameras")
    storage = {"state_dir": small_disk / "state", "runtime_dir": tmp_path / "run"}
    async with running_odd(host, describes()):
        async with external_agent("embedded", tmp_path, observe, {}, storage=storage) as agent:
            first = await agent.add(f"rtsp://{host.v4}/first")
            _fill(small_disk / "ballast")
            error = await agent.try_to_add(f"rtsp://{host.v4}/second", "second")
            assert error is not None
            assert error.code == -32050, error
            assert {each["device"] for each in (await agent.known()).values()} == {first}
            with pytest.raises(CallFailed):
                await agent.remove(f"rtsp://{host.v4}/first")
            (small_disk / "ballast").unlink()
            second = await agent.add(f"rtsp://{host.v4}/second")
        async with external_agent("embedded", tmp_path, observe, {}, storage=storage) as agent:
            assert {each["device"] for each in (await agent.known()).values()} == {first, second}


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


async def test_an_agent_ends_amid_a_scan(network: Network, tmp_path: Path, observe: Observe) -> None:
    silent = network.add_host("silent")
    network.wire.add_silent(8)
    discovery = {"connect_timeout_s": 30.0, "answer_timeout_s": 30.0, "scan_limit_s": 600}
    settings = settings_for(network, discovery=discovery)
    async with running_odd(silent, is_silent) as server:
        async with anyio.create_task_group() as tasks:
            with anyio.fail_after(40):
                async with external_agent("embedded", tmp_path, observe, settings) as agent:
                    tasks.start_soon(_discover_in_vain, agent.rig.client)
                    while not server.connections:
                        await anyio.sleep(0.01)


async def _discover_in_vain(client: AgentClient) -> None:
    with pytest.raises((ConnectionLost, CallFailed)):
        await client.call("discover_external_streams", generic_enabled=True, force_rescan=True)


async def test_two_agents_have_the_same_camera(
    network: Network, clips: Clips, server_kind: str, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("camera")
    async with running_camera(host, tmp_path / "camera", clips.h264()) as camera:
        async with _two(server_kind, tmp_path, observe) as (one, other):
            devices = [await agent.add(camera.url()) for agent in (one, other)]
            for agent, device in zip((one, other), devices, strict=True):
                await agent.call("start_recording", device, wait=True)
            await one.remove(camera.url())
            recording = await other.call("stop_recording", devices[1])
            assert recording["file_size"] > 0
            assert (await other.known())[camera.url()]["status"] == "ADDED"


@asynccontextmanager
async def _two(kind: str, folder: Path, observe: Observe) -> AsyncIterator[tuple[Any, Any]]:
    one, other = folder / "one", folder / "other"
    one.mkdir()
    other.mkdir()
    async with external_agent(kind, one, observe, {}) as first:
        async with external_agent(kind, other, observe, {}) as second:
            yield first, second


async def test_one_url_is_one_camera_however_it_is_written_and_raced(
    network: Network, tmp_path: Path, observe: Observe
) -> None:
    host = network.add_host("camera")
    spellings = (
        f"rtsp://{host.v4}/x",
        f"RTSP://{host.v4}:554/x",
        f"rtsp://user:secret@{host.v4}/x",
        f"rtsp://[::ffff:{host.v4}]/x",
    )
    async with running_odd(host, describes()):
        async with external_agent("embedded", tmp_path, observe, {}) as agent:
            outcomes: list[object] = []

            async def add(url: str) -> None:
                outcomes.append(await agent.try_to_add(url, url.rpartition("@")[2]))

            async with anyio.create_task_group() as tasks:
                for url in spellings * 3:
                    tasks.start_soon(add, url)
            known = await agent.known()
            assert outcomes.count(None) == len(known)
            assert len({each["device"] for each in known.values()}) == len(known)
            assert len(known) <= 2, "the mapped form may be one of its own"

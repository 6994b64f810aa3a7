"""An agent with a MediaMTX of its own: it records and streams, and neither outlives the other."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.plugin import ffmpeg
from agent_core.testing.agents import running_agent
from agent_core.testing.mediamtx import find_mediamtx

from .conftest import AgentProcess, AgentProcessFactory, descendants, is_running
from .server_rigs import MANAGED, server_of


@pytest.fixture
def config() -> str:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    return MANAGED.format(program=program, media_server="")


async def call(client: AgentClient, method: str, **params: Any) -> Any:
    """The result; asked again while the media server is not there yet."""
    with anyio.fail_after(30):
        while True:
            try:
                return await client.call(method, **params)
            except CallFailed as error:
                if error.data.get("dependency") != "media_server":
                    raise
                await anyio.sleep(0.05)


def segments(agent: AgentProcess, recording: Mapping[str, Any]) -> list[Path]:
    folder = agent.folder / "state" / "recordings" / recording["device"] / recording["filename"]
    return sorted(folder.glob("*.mp4"))


async def decodes(file: Path) -> None:
    assert await ffmpeg.run(ffmpeg.locate(), ["-xerror", "-i", str(file), "-f", "null", "-"]) == b""


def is_finished(file: Path) -> bool:
    """`mvhd` has a duration."""
    data = file.read_bytes()
    at = data.index(b"mvhd") + 20
    return any(data[at : at + 4])


@pytest.mark.real_mediamtx
async def test_it_records_and_streams(config: str, agent_process: AgentProcessFactory) -> None:
    async with agent_process(config) as agent, agent.client("admin") as client:
        recording = await call(client, "start_recording", device="camera0", wait=True)
        assert recording["status"] == "RECORDING"
        stream = await call(client, "start_streaming", device="camera0")
        assert "@" not in stream["stream_url"]
        shown = await client.call("get_camera_status", device="camera0")
        assert shown["served"] == ["rtsp", "hls", "webrtc"]
        played = await ffmpeg.run(
            ffmpeg.locate(),
            ["-rtsp_transport", "tcp", "-i", stream["stream_url"], "-frames:v", "5", "-f", "framecrc", "-"],
        )
        assert played.count(b"\n0,") >= 4
        hls = ["-i", shown["streams"]["hls"], "-frames:v", "1", "-f", "framecrc", "-"]
        assert b"\n0," in await ffmpeg.run(ffmpeg.locate(), hls)
        assert (await client.call("get_status"))["components"]["mediamtx"] == "RUNNING"
        stopped = await client.call("stop_recording", device="camera0")
        (segment,) = stopped["segments"]
        await decodes(segments(agent, recording)[0])
        assert segment["file_size"] > 0
        assert await agent.end() == 0
    assert "Traceback" not in agent.log


@pytest.mark.real_mediamtx
async def test_sigterm_ends_the_server_and_finishes_its_file(
    config: str, agent_process: AgentProcessFactory
) -> None:
    async with agent_process(config) as agent:
        async with agent.client("admin") as client:
            recording = await call(client, "start_recording", device="camera0", wait=True)
        below = descendants(agent.pid)
        assert server_of(agent) in below
        assert await agent.end() == 0
        assert not any(is_running(pid) for pid in below)
        (file,) = segments(agent, recording)
        assert is_finished(file)
        await decodes(file)
        assert "Traceback" not in agent.log


@pytest.mark.real_mediamtx
async def test_kill_9_of_the_agent_ends_the_server(config: str, agent_process: AgentProcessFactory) -> None:
    async with agent_process(config) as agent:
        async with agent.client("admin") as client:
            recording = await call(client, "start_recording", device="camera0", wait=True)
            below = descendants(agent.pid)
            server = server_of(agent)
            agent.process.kill()
            with anyio.fail_after(10):
                while is_running(server):
                    await anyio.sleep(0.02)
        with anyio.fail_after(10):
            while any(is_running(pid) for pid in below):
                await anyio.sleep(0.02)
        await decodes(segments(agent, recording)[0])


async def test_a_missing_program_is_said_to_clients(observe: Callable[[str], None]) -> None:
    config = {"media_server": {"mode": "managed", "program": "/nowhere/mediamtx-that-is-not-there"}}
    async with running_agent(config=config, observe=observe) as agent, agent.client("admin") as client:
        with anyio.fail_after(10):
            while not (status := await client.call("get_system_status"))["problems"]:
                await anyio.sleep(0.01)
        assert status["problems"][0]["reason"] == "program_missing"
        assert status["status"] == "partial"
        assert "/nowhere" not in str(status)
        with anyio.fail_after(10):
            while (await client.call("get_status"))["components"]["mediamtx"] != "ERROR":
                await anyio.sleep(0.01)


@pytest.mark.real_mediamtx
async def test_the_embedded_server_does_not_run_beside_it(
    config: str, agent_process: AgentProcessFactory
) -> None:
    both = config.replace('"ffmpeg_tier"]', '"ffmpeg_tier", "embedded_server"]')
    async with agent_process(both) as agent, agent.client("admin") as client:
        await call(client, "start_streaming", device="camera0")
        components = (await client.call("get_status"))["components"]
        assert components["mediamtx"] == "RUNNING"
        assert "embedded_server" not in components
        assert "embedded_server is not started" in agent.log

"""The command line against an agent of its own that serves, streams and records a virtual camera."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import ffmpeg
from tests.e2e.conftest import AgentProcess, AgentProcessFactory
from tests.e2e.media import EMBEDDED_CONFIG


@pytest.fixture
async def agent(agent_process: AgentProcessFactory) -> AsyncIterator[AgentProcess]:
    async with agent_process(EMBEDDED_CONFIG) as process:
        async with process.client() as client:  # its cameras are there, and soon its media server
            with anyio.fail_after(20):
                while not (await client.call("get_camera_list"))["cameras"][0]["served"]:
                    await anyio.sleep(0.05)
        yield process
        assert await process.end() == 0, process.log


async def run(agent: AgentProcess, *arguments: str) -> Any:
    """The JSON of a command that must succeed, run in the agent's folder."""
    command = [sys.executable, "-m", "agent_core", *arguments, "--json"]
    command += ["--config", str(agent.folder / "config.toml")]
    environment = {**os.environ, "CAMERA_AGENT__SERVER__PORT": "0"}
    with anyio.fail_after(60):
        done = await anyio.run_process(command, check=False, cwd=agent.folder, env=environment)
    assert done.returncode == 0, done.stderr.decode() + agent.log
    return json.loads(done.stdout)


async def read_all(*source: str, frames: int = 1_000_000) -> tuple[str, int]:
    """What FFmpeg says about the video of `source`, and how many pictures it decoded."""
    argv = [
        ffmpeg.locate(),
        "-hide_banner",
        *source,
        "-map",
        "0:v",
        "-frames:v",
        str(frames),
        "-f",
        "null",
        "-",
    ]
    with anyio.fail_after(30):
        done = await anyio.run_process(argv, check=False)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    return said, int(re.findall(r"frame=\s*(\d+)", said)[-1])


def duration_s(said: str) -> float:
    found = re.search(r"Duration: (\d+):(\d+):([\d.]+)", said)
    assert found is not None, said
    return 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])


@pytest.mark.timeout(180)  # it runs five programs, one of them for five seconds and more
async def test_a_recording_of_five_seconds(agent: AgentProcess) -> None:
    recorded = await run(agent, "record", "start", "camera0", "--duration", "5", "--wait")
    (listed,) = (await run(agent, "recordings"))["files"]
    assert listed["filename"] == recorded["filename"]
    got = await run(agent, "recordings", "get", recorded["filename"], "-o", "a.mp4")
    assert got["files"] == [{"output": "a.mp4", "file_size": recorded["file_size"]}]
    said, frames = await read_all("-i", str(agent.folder / "a.mp4"))
    assert "Video: h264" in said
    assert 4.5 <= duration_s(said) <= 8  # it ends later on a loaded machine
    assert frames > 25


async def test_a_stream_while_a_recording_is_started_and_stopped(agent: AgentProcess) -> None:
    (stream,) = (await run(agent, "streams"))["streams"]
    said, frames = await read_all("-rtsp_transport", "tcp", "-i", stream["stream_url"], frames=5)
    assert "Video: h264" in said
    assert frames == 5
    started = await run(agent, "record", "start", "camera0", "--format", "mpegts")
    async with agent.client() as client:
        with anyio.fail_after(20):
            while not (await client.call("get_recording_info", filename=started["filename"]))["duration"]:
                await anyio.sleep(0.05)
    stopped = await run(agent, "record", "stop", "camera0")
    assert stopped["filename"] == started["filename"]
    await run(agent, "recordings", "get", stopped["filename"], "-o", "a.ts")
    said, _ = await read_all("-i", str(Path(agent.folder) / "a.ts"))
    assert "mpegts" in said

"""Shutdown of an agent that records and streams, and agents without the parts that recording needs."""

import json
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.testing.agents import running_agent
from tests.media_servers import running_server

from .conftest import AgentProcess, AgentProcessFactory, descendants, is_running
from .media import (
    CAMERA,
    EMBEDDED_CONFIG,
    LOST,
    PLUGINS,
    connected,
    decoded,
    gone,
    is_gapless,
    next_event,
    publishers,
)

Observe = Callable[[str], None]


@asynccontextmanager
async def configured(kind: str, tmp_path: Path) -> AsyncIterator[str]:
    """A configuration with a media server of that kind; one beside the agent outlives it."""
    if kind == "embedded":
        yield EMBEDDED_CONFIG
        return
    async with running_server(kind, tmp_path / "media_server") as server:
        external = f'mode = "external"\napi_url = "{server.api_url}"\nrtsp_url = "{server.rtsp_url}"\n'
        yield f"[media_server]\n{external}" + EMBEDDED_CONFIG.replace(', "embedded_server"', "")


@asynccontextmanager
async def client_of(agent: AgentProcess) -> AsyncIterator[AgentClient]:
    async with agent.client() as client:
        await connected(client)
        yield client


async def call(client: AgentClient, method: str, **params: Any) -> Any:
    with anyio.fail_after(30):
        return await client.call(method, **params)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_end_of_the_agent_leaves_a_file_that_plays_and_no_process(
    server_kind: str, number: signal.Signals, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    async with configured(server_kind, tmp_path) as config:
        async with agent_process(config) as agent:
            async with client_of(agent) as client:
                started = await call(client, "start_recording", device="camera0", wait=True)
                await call(client, "start_streaming", device="camera0")
                await anyio.sleep(LOST.total_seconds() + 1)
                children, feeding = descendants(agent.pid), publishers()
                assert children
                assert len(feeding) == 1
            ended_at = datetime.now(UTC)
            code = await agent.end(number)
            await gone([*children, *feeding], within_s=6)
            if number is signal.SIGKILL:
                (agent.folder / "state" / "endpoint.json").unlink()
            else:
                assert code == 0
                assert "Traceback" not in agent.log
            folder = agent.folder / "state" / "recordings" / "camera0" / started["filename"]
        (segment,) = folder.glob("*.mp4")
        marks = await decoded(segment)
        assert is_gapless(marks)
        assert marks[-1].drawn_at >= ended_at - LOST
        note = json.loads((folder / "recording.json").read_text())
        assert (note["ended_at"], note["reason"]) == (None, "")
        async with agent_process(config) as agent, client_of(agent) as client:
            await resumed(client, started["filename"])
            told = await call(client, "get_recording_info", filename=started["filename"])
            await client.download_to(tmp_path / "whole.mp4", told["download_url"])
        assert await decoded(segment) == marks
        whole = await decoded(tmp_path / "whole.mp4")
        assert whole[: len(marks)] == marks
        assert len(whole) > len(marks)  # the agent and its publisher are new, and the film goes on


async def test_the_end_of_the_agent_ends_recordings_where_that_is_configured(
    server_kind: str, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    async with configured(server_kind, tmp_path) as rest:
        config = f'[recordings]\non_stop = "end"\n{rest}'
        async with agent_process(config) as agent:
            async with client_of(agent) as client, client.subscribe(["recording.stop"]) as events:
                started = await call(client, "start_recording", device="camera0", wait=True)
                agent.process.send_signal(signal.SIGTERM)
                told = await next_event(events, "recording.stop")
                assert (told["filename"], told["reason"]) == (started["filename"], "agent_ended")
            with anyio.fail_after(20):
                assert await agent.process.wait() == 0
        async with agent_process(config) as agent, client_of(agent) as client:
            info = await call(client, "get_recording_info", filename=started["filename"])
            assert (info["complete"], info["reason"]) == (True, "agent_ended")
            assert info["duration"] > 0
            again = await call(client, "start_recording", device="camera0", wait=True)
            await call(client, "stop_recording", device="camera0")
            listed = await call(client, "list_recordings")
            assert [each["filename"] for each in listed["files"]] == [again["filename"], started["filename"]]


async def resumed(client: AgentClient, recording: str) -> None:
    """The recording goes on as a new segment of the same recording."""
    with anyio.fail_after(30):
        while len((await call(client, "get_recording_info", filename=recording))["segments"]) < 2:
            await anyio.sleep(0.1)
    info = await call(client, "get_recording_info", filename=recording)
    assert not info["complete"]
    stopped = await call(client, "stop_recording", device="camera0")
    assert stopped["filename"] == recording
    assert all(each["duration"] > 0 for each in stopped["segments"])
    assert (await call(client, "get_recording_info", filename=recording))["complete"]


async def failure(client: AgentClient, method: str, **params: Any) -> CallFailed:
    """The error of the call, which says what to do."""
    with anyio.fail_after(30), pytest.raises(CallFailed) as caught:
        await client.call(method, **params)
    assert caught.value.details
    assert caught.value.suggestion
    return caught.value


async def nothing_is_left(folder: Path) -> None:
    assert not [each for each in folder.glob("state/recordings/*/*") if each.is_dir()]
    assert not publishers()


def sections(*more: str, **settings: Any) -> dict[str, Any]:
    plugins = {"enabled": [*PLUGINS, *more], "virtual_camera": {"cameras": [dict(CAMERA)]}, **settings}
    return {"plugins": plugins}


async def test_no_media_server_at_all(tmp_path: Path, observe: Observe) -> None:
    async with running_agent(config=sections(), folder=tmp_path, observe=observe) as agent:
        async with agent.client() as client:
            for method in ("start_recording", "start_streaming", "get_stream_url", "get_stream_status"):
                error = await failure(client, method, device="camera0")
                assert (error.code, error.reason) == (-32030, "no_media_server")
                assert error.data["feature"] == "media_server"
            assert (await call(client, "get_camera_status", device="camera0"))["served"] == []
            await nothing_is_left(tmp_path)


async def test_nothing_that_publishes(tmp_path: Path, observe: Observe) -> None:
    server = {"api_port": 0, "rtsp_port": 0}
    config = sections("embedded_server", embedded_server=server)
    config["plugins"]["enabled"].remove("ffmpeg_tier")
    async with running_agent(config=config, folder=tmp_path, observe=observe) as agent:
        async with agent.client() as client:
            await connected(client)
            error = await failure(client, "start_recording", device="camera0")
            assert (error.code, error.reason) == (-32030, "no_publisher")
            assert "ffmpeg_tier" in error.suggestion
            await nothing_is_left(tmp_path)


async def test_missing_ffmpeg(tmp_path: Path, observe: Observe) -> None:
    config = sections("embedded_server", embedded_server={"api_port": 0, "rtsp_port": 0})
    config["ffmpeg"] = {"program": "ffmpeg-that-is-not-there"}
    async with running_agent(config=config, folder=tmp_path, observe=observe) as agent:
        async with agent.client() as client:
            await connected(client)
            for method in ("start_recording", "start_streaming", "get_stream_url"):
                error = await failure(client, method, device="camera0")
                assert (error.code, error.reason) == (-32050, "ffmpeg_missing")
                assert error.data["dependency"] == "ffmpeg"
            await nothing_is_left(tmp_path)


@pytest.mark.parametrize("setting", ["api_port", "rtsp_port"])
async def test_a_port_of_the_media_server_is_taken(setting: str, tmp_path: Path, observe: Observe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = {"api_port": 0, "rtsp_port": 0, setting: taken.getsockname()[1]}
        config = sections("embedded_server", embedded_server=ports)
        async with running_agent(config=config, folder=tmp_path, observe=observe) as agent:
            async with agent.client() as client:
                for method in ("start_recording", "start_streaming", "get_stream_url"):
                    error = await failure(client, method, device="camera0")
                    assert (error.code, error.reason) == (-32050, "port_in_use")
                    assert error.data["dependency"] == "media_server"
                    assert setting in error.suggestion
                snapshot = await call(client, "take_snapshot", device="camera0")
                assert snapshot["status"] == "SUCCESS"
                await nothing_is_left(tmp_path)
                taken.close()
                await connected(client)  # it is tried again


async def test_a_camera_that_is_not_there(tmp_path: Path, observe: Observe) -> None:
    config = sections("embedded_server", embedded_server={"api_port": 0, "rtsp_port": 0})
    config["plugins"]["virtual_camera"]["faults"] = True
    async with running_agent(config=config, folder=tmp_path, observe=observe) as agent:
        async with agent.client("admin") as client:
            await connected(client)
            await call(client, "virtual_camera.set_fault", device="camera0", fault="vanish", enabled=True)
            for method in ("start_recording", "start_streaming"):
                error = await failure(client, method, device="camera0")
                assert (error.code, error.reason) == (-32050, "camera_disconnected")
            error = await failure(client, "start_recording", device="camera7")
            assert (error.code, error.reason) == (-32010, "camera_not_found")
            error = await failure(client, "start_recording", device="camera0", duration=0)
            assert error.code == -32602
            await nothing_is_left(tmp_path)


async def test_nothing_comes_in_time_for_who_waits(tmp_path: Path, observe: Observe) -> None:
    config = sections("embedded_server", embedded_server={"api_port": 0, "rtsp_port": 0})
    config["plugins"]["virtual_camera"]["faults"] = True
    config["recordings"] = {"start_timeout_s": 1}
    async with running_agent(config=config, folder=tmp_path, observe=observe) as agent:
        async with agent.client("admin") as client:
            await connected(client)
            await call(client, "virtual_camera.set_fault", device="camera0", fault="stall", enabled=True)
            error = await failure(client, "start_recording", device="camera0", wait=True)
            assert error.code == -32050
            assert not (await call(client, "get_camera_status", device="camera0"))["is_recording"]
            assert (await call(client, "list_recordings"))["files"] == []
            assert not [each for each in tmp_path.glob("state/recordings/*/*") if each.is_dir()]
    assert not [pid for pid in publishers() if is_running(pid)]

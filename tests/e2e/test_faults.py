"""Faults around the agent: each gives a code, a reason and a suggestion, and loses nothing."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.testing.agents import RunningAgent, running_agent

from .conftest import AgentProcessFactory, descendants

Observe = Callable[[str], None]
PLUGINS = {
    "enabled": ["virtual_camera", "ffmpeg_tier"],
    "virtual_camera": {"cameras": [{"name": "Test", "id": "camera0"}], "faults": True},
}


async def failed_snapshot(client: AgentClient, **params: Any) -> CallFailed:
    with anyio.fail_after(30), pytest.raises(CallFailed) as caught:
        await client.call("take_snapshot", device="camera0", **params)
    assert caught.value.reason
    assert caught.value.details
    assert caught.value.suggestion
    return caught.value


async def test_a_full_disk(tmpfs: Callable[[str], Path], observe: Observe) -> None:
    disk = tmpfs("size=256k")
    config = {"plugins": PLUGINS, "storage": {"snapshots_dir": disk / "snapshots"}}
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        stored = (await client.call("take_snapshot", device="camera0", filename="kept"))["file_size"]
        (disk / "ballast").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
        error = await failed_snapshot(client)
        assert (error.code, error.reason) == (-32050, "disk_full")
        assert error.data["dependency"] == "storage"
        (disk / "ballast").unlink()
        await client.call("take_snapshot", device="camera0")
        listed = await client.call("list_snapshots")
    assert listed["total"] == 2
    assert (disk / "snapshots/camera0/kept.jpg").stat().st_size == stored
    assert not list(disk.rglob(".partial-*"))


async def test_an_unwritable_folder(tmpfs: Callable[[str], Path], observe: Observe) -> None:
    disk = tmpfs("size=1m")
    config = {"plugins": PLUGINS, "storage": {"snapshots_dir": disk / "snapshots"}}
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        await client.call("take_snapshot", device="camera0")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        error = await failed_snapshot(client)
        assert (error.code, error.reason) == (-32050, "read_only")
        assert (await client.call("list_snapshots"))["total"] == 1


async def test_missing_ffmpeg(observe: Observe) -> None:
    config = {"plugins": PLUGINS, "ffmpeg": {"program": "ffmpeg-that-is-not-there"}}
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        error = await failed_snapshot(client)
        assert (error.code, error.reason) == (-32050, "ffmpeg_missing")
        assert [each["reason"] for each in error.data["tiers_tried"]] == ["ffmpeg_missing"] * 2
        status = await client.call("get_system_status")
    assert status["status"] == "partial"
    assert status["problems"][0]["reason"] == "ffmpeg_missing"
    assert "Install FFmpeg" in status["problems"][0]["suggestion"]


async def test_an_ffmpeg_that_dies_at_once(observe: Observe) -> None:
    config = {"plugins": PLUGINS, "ffmpeg": {"program": shutil.which("false")}}
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        error = await failed_snapshot(client)
    assert error.code == -32050
    assert error.reason == "ffmpeg_failed"


async def test_an_ffmpeg_that_is_killed_is_replaced(observe: Observe) -> None:
    async with running_agent(config={"plugins": PLUGINS}, observe=observe) as agent, agent.client() as client:
        await client.call("take_snapshot", device="camera0")
        for child in descendants(os.getpid()):
            os.kill(child, 9)
        with anyio.fail_after(30):
            while True:
                try:
                    await client.call("take_snapshot", device="camera0", max_age_ms=0)
                    break
                except CallFailed as error:
                    assert error.suggestion


@pytest.mark.parametrize("fault", ["stall", "corrupt", "vanish"])
async def test_a_camera_that_misbehaves_is_an_error_and_comes_back(fault: str, observe: Observe) -> None:
    async with (
        running_agent(config={"plugins": PLUGINS}, observe=observe) as agent,
        agent.client("admin") as client,
    ):
        await client.call("take_snapshot", device="camera0")
        await client.call("virtual_camera.set_fault", device="Test", fault=fault, enabled=True)
        error = await failed_snapshot(client, max_age_ms=0, deadline_ms=3000)
        assert error.code == -32050
        await client.call("virtual_camera.set_fault", device="Test", fault=fault, enabled=False)
        await recovered(agent)


async def recovered(agent: RunningAgent) -> None:
    async with agent.client() as client:
        with anyio.fail_after(30):
            while True:
                try:
                    await client.call("take_snapshot", device="camera0", max_age_ms=0, deadline_ms=5000)
                    return
                except CallFailed:
                    await anyio.sleep(0.1)


async def test_a_busy_port(agent_process: AgentProcessFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {"CAMERA_AGENT__SERVER__PORT": str(port)}
        async with agent_process("", environment=environment) as agent:
            with anyio.fail_after(20):
                assert await agent.process.wait() == 6
            assert f"{port}" in agent.log
            assert "Traceback" not in agent.log


async def test_a_second_agent_on_the_same_state(agent_process: AgentProcessFactory) -> None:
    async with agent_process("") as first:
        await first.url()
        (first.folder / "state" / "endpoint.json").rename(first.folder / "endpoint-of-the-first")
        async with agent_process("") as second:
            with anyio.fail_after(20):
                assert await second.process.wait() == 6
            assert "Another agent uses this state folder" in second.log


async def test_an_unknown_configuration_key(agent_process: AgentProcessFactory) -> None:
    async with agent_process("[server]\nprot = 8002\n") as agent:
        with anyio.fail_after(20):
            assert await agent.process.wait() == 5
        assert "server.prot" in agent.log
        assert "'port'" in agent.log


async def test_a_corrupt_ledger(tmp_path: Path, observe: Observe) -> None:
    config = {"plugins": PLUGINS}
    async with running_agent(config=config, folder=tmp_path, observe=observe):
        pass
    ledger = tmp_path / "state" / "cameras.json"
    assert json.loads(ledger.read_text())["cameras"][0]["id"] == "camera0"
    ledger.write_text('{"version": 1, "camer')
    async with (
        running_agent(config=config, folder=tmp_path, observe=observe) as agent,
        agent.client() as client,
    ):
        status = await client.call("get_system_status")
        assert status["status"] == "partial"
        problem = status["problems"][0]
        assert (problem["code"], problem["reason"]) == (-32050, "cameras_corrupt")
        assert "cameras.json.corrupt" in problem["suggestion"]
        assert (await client.call("take_snapshot", device="camera0"))["status"] == "SUCCESS"
    assert (tmp_path / "state" / "cameras.json.corrupt").read_text() == '{"version": 1, "camer'


async def test_methods_of_later_versions_say_so(observe: Observe) -> None:
    async with running_agent(observe=observe) as agent, agent.client("admin") as client:
        for method in ("discover_external_streams", "add_external_stream"):
            with pytest.raises(CallFailed) as caught:
                await client.call(method, anything="at all")
            assert caught.value.code == -32030
            assert caught.value.suggestion


async def test_roles_are_kept_apart(observe: Observe) -> None:
    async with running_agent(config={"plugins": PLUGINS}, observe=observe) as agent:
        async with agent.client("viewer") as client:
            error = await failed_snapshot(client)
            assert error.code == -32002
        async with agent.client(None) as client:
            error = await failed_snapshot(client)
            assert error.code == -32001


async def test_it_starts_on_a_full_disk_so_that_something_can_be_deleted(
    tmpfs: Callable[[str], Path], observe: Observe
) -> None:
    disk = tmpfs("size=256k")
    config = {"plugins": PLUGINS, "storage": {"state_dir": disk / "state"}}
    async with running_agent(config=config, observe=observe):
        pass
    snapshot = disk / "state" / "snapshots" / "camera0" / "a.jpg"
    snapshot.parent.mkdir(exist_ok=True)
    snapshot.write_bytes(b"x")
    with suppress(OSError), (disk / "fill").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    async with running_agent(config=config, observe=observe) as agent, agent.client() as client:
        assert (await client.call("list_snapshots"))["total"] == 1
    assert not (disk / "state" / "endpoint.json").exists()

"""Start and shutdown: progress during the start, and nothing left after the end."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agent_core.client import AgentClient
from agent_core.plugin import (
    CameraReport,
    CameraSource,
    DetectedCamera,
    Fingerprint,
    Plugin,
    Settings,
    hookimpl,
)
from agent_core.testing.agents import RunningAgent, running_agent

from .conftest import AgentProcess, AgentProcessFactory, descendants, is_running

VIRTUAL = """
[plugins]
enabled = ["virtual_camera", "ffmpeg_tier"]
[[plugins.virtual_camera.cameras]]
name = "Test"
id = "camera0"
width = 640
height = 480
fps = 15
"""


class Gated(CameraSource):
    """Reports its camera when the gate opens."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.gate = anyio.Event()

    @property
    def name(self) -> str:
        return self._name

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        await self.gate.wait()
        report.connected(DetectedCamera(self._name, self._name, Fingerprint(self._name, "1"), None))
        task_status.started()
        await anyio.sleep_forever()


def plugin(*sources: CameraSource) -> type[Plugin[Settings]]:
    class Offering(Plugin[Settings]):
        @hookimpl
        def agent_camera_sources(self) -> tuple[CameraSource, ...]:
            return sources

    return Offering


async def status(agent: RunningAgent) -> str:
    async with agent.client("viewer") as client:
        assert await client.call("ping") == "pong"
        return str((await client.call("get_system_status"))["status"])


async def test_starting_partial_and_ready_are_seen_in_this_order(observe: Callable[[str], None]) -> None:
    first, second = Gated("first"), Gated("second")
    seen = []
    async with running_agent(
        plugins={"gated": plugin(first, second)}, settled=False, observe=observe
    ) as agent:
        seen.append(await status(agent))
        async with agent.client("viewer") as watcher, watcher.subscribe(["camera.connected"]) as events:
            first.gate.set()
            with anyio.fail_after(10):
                await anext(aiter(events))
        seen.append(await status(agent))
        async with agent.client("viewer") as watcher, watcher.subscribe(["system.startup"]) as events:
            second.gate.set()
            with anyio.fail_after(10):
                startup = await anext(aiter(events))
        seen.append(await status(agent))
    assert seen == ["starting", "partial", "ready"]
    assert startup.params["status"] == "HEALTHY"


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, from /proc/PID/stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_it_answers_within_a_second_of_start_while_discovery_goes_on(
    agent_process: AgentProcessFactory,
) -> None:
    """A second of its own CPU time: that is what a loaded machine does not distort; nothing in it waits."""
    async with agent_process(VIRTUAL) as agent:
        async with AgentClient(await agent.url()) as client:
            assert await client.call("ping") == "pong"
            used_s = cpu_s(agent.pid)
        async with agent.client("viewer", ready=False) as client:
            assert (await client.call("get_system_status"))["status"] in {"starting", "partial", "ready"}
        assert await agent.end() == 0
    assert used_s < 1.0


async def test_with_no_plugins_it_runs_and_says_so(observe: Callable[[str], None]) -> None:
    async with running_agent(observe=observe) as agent, agent.client("viewer") as client:
        told = await client.call("get_system_status")
        assert told["status"] == "ready"
        assert "No camera source is enabled" in told["message"]
        assert (await client.call("get_camera_list"))["cameras"] == []


async def open_sockets(url: str, count: int) -> list[ClientConnection]:
    return [await connect(url) for _ in range(count)]


async def close_code(socket: ClientConnection) -> int | None:
    with anyio.fail_after(10):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


async def keep_capturing(agent: AgentProcess) -> None:
    try:
        async with agent.client() as client:
            while True:
                await client.call("take_snapshot", device="camera0", max_age_ms=0)
    except Exception:  # noqa: BLE001 - the agent ends under it, that is the test
        return


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_in_order(agent_process: AgentProcessFactory, number: signal.Signals) -> None:
    async with agent_process(VIRTUAL) as agent:
        sockets = await open_sockets(await agent.url(), 50)
        async with anyio.create_task_group() as tg:
            tg.start_soon(keep_capturing, agent)
            tg.start_soon(keep_capturing, agent)
            with anyio.fail_after(20):
                while not descendants(agent.pid):
                    await anyio.sleep(0.02)
            children = descendants(agent.pid)
            with anyio.fail_after(5):
                agent.process.send_signal(number)
                assert await agent.process.wait() == 0
            assert {await close_code(socket) for socket in sockets} == {1012}
        assert not any(is_running(child) for child in children)
        assert "Traceback" not in agent.log
        assert not (agent.folder / "state" / "endpoint.json").exists()


async def test_who_subscribed_is_told_of_the_end(agent_process: AgentProcessFactory) -> None:
    async with agent_process(VIRTUAL) as agent:
        async with agent.client() as client, client.subscribe(["system.shutdown"]) as events:
            agent.process.terminate()
            with anyio.fail_after(10):
                event = await anext(aiter(events))
        assert event.topic == "system.shutdown"


async def test_kill_9_leaves_no_child(agent_process: AgentProcessFactory) -> None:
    async with agent_process(VIRTUAL) as agent:
        async with agent.client() as client:
            await client.call("take_snapshot", device="camera0")
            children = descendants(agent.pid)
            assert children
            agent.process.kill()
            with anyio.fail_after(20):
                while any(is_running(child) for child in children):
                    await anyio.sleep(0.02)


async def test_after_kill_9_it_starts_again(agent_process: AgentProcessFactory) -> None:
    async with agent_process(VIRTUAL) as agent:
        async with agent.client() as client:
            await client.call("take_snapshot", device="camera0")
        agent.process.kill()
        await agent.process.wait()
        (agent.folder / "state" / "endpoint.json").unlink()
    async with agent_process(VIRTUAL) as agent, agent.client() as client:
        snapshot = await client.call("take_snapshot", device="camera0")
        assert snapshot["status"] == "SUCCESS"
        assert (await client.call("list_snapshots"))["total"] == 2


async def test_the_log_changes_on_sighup(agent_process: AgentProcessFactory) -> None:
    async with agent_process(VIRTUAL) as agent:
        await agent.url()
        config = agent.folder / "config.toml"
        good = config.read_text()
        config.write_text(good + '[logging]\nlevel = "shout"\n')
        agent.process.send_signal(signal.SIGHUP)
        await logged(agent, "The configuration was not reloaded: logging.level")
        config.write_text(good + '[logging]\nlevel = "debug"\nformat = "json"\n')
        agent.process.send_signal(signal.SIGHUP)
        await logged(agent, "changed: logging.level, logging.format")
        last = json.loads(agent.log.splitlines()[-1])
        assert last["logger"] == "camera_agent.app"
        assert await agent.end() == 0


async def test_sighup_before_the_start_is_obeyed_after_it(agent_process: AgentProcessFactory) -> None:
    async with agent_process(VIRTUAL) as agent:
        blocked = Path(f"/proc/{agent.pid}/status")
        with anyio.fail_after(20):
            while not handles_hangups(blocked.read_text()):  # Python itself has begun
                await anyio.sleep(0.001)
        for _ in range(20):
            agent.process.send_signal(signal.SIGHUP)
        await logged(agent, "reloaded the configuration; changed: nothing")
        assert agent.log.index("listening on") < agent.log.index("reloaded the configuration")
        assert await agent.end() == 0


def handles_hangups(status: str) -> bool:
    """Whether a process blocks or catches SIGHUP, by /proc/PID/status."""
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return any(int(fields[name], 16) & 1 << signal.SIGHUP - 1 for name in ("SigBlk", "SigCgt"))


async def test_sighup_does_not_kill_an_agent_that_ends(agent_process: AgentProcessFactory) -> None:
    async with agent_process(VIRTUAL) as agent:
        async with agent.client() as client:
            await client.call("take_snapshot", device="camera0")
        agent.process.terminate()
        with anyio.fail_after(20), anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def hang_up() -> None:
                    while is_running(agent.pid):
                        os.kill(agent.pid, signal.SIGHUP)
                        await anyio.sleep(0.005)

                tasks.start_soon(hang_up)
                assert await agent.process.wait() == 0
                scope.cancel()
        assert not (agent.folder / "state/endpoint.json").exists()


async def logged(agent: AgentProcess, words: str) -> None:
    with anyio.fail_after(10):
        while words not in agent.log:
            await anyio.sleep(0.02)

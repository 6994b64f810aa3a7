"""The process that decodes streams: outside the agent, there only while it is needed, and gone with the agent."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.client import AgentClient, CallFailed
from agent_core.testing.waiting import eventually
from agent_core.testing.wall_clock import ProgramWallClock

from .conftest import AgentProcess, AgentProcessFactory, descendants, is_running
from .server_rigs import program_of

#: The network camera is the virtual one's stream; only tiers 2 and 3 serve it, as if it had a password.
CONFIG = """
[plugins]
enabled = ["virtual_camera", "ffmpeg_tier", "rtsp_tier", "embedded_server", "network"]
[plugins.embedded_server]
api_port = 0
rtsp_port = 0
[plugins.rtsp_tier]
worker_idle_s = {idle_s}
resident_ttl_s = {idle_s}
keep_warm_s = {idle_s}
connect_timeout_s = 20
[plugins.network]
stream_of = "camera0"
[media_server]
close_after_s = 1
[snapshots]
tier_budget_s = [10, 10, 20, 20]
[[plugins.virtual_camera.cameras]]
name = "Test"
id = "camera0"
width = 320
height = 240
fps = 15
"""


def slow(value: object) -> Any:
    """Return a parameter that only a release is tested with."""
    return pytest.param(value, marks=pytest.mark.release)


@pytest.fixture
def packages(tmp_path: Path) -> dict[str, str]:
    """An environment in which the plugin of network cameras is installed."""
    metadata = tmp_path / "packages" / "network-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: network\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[camera_agent.plugins]\nnetwork = tests.e2e.network_cameras:MirrorPlugin\n"
    )
    root = Path(__file__).parents[2]
    return {"PYTHONPATH": f"{tmp_path / 'packages'}:{root}"}


@asynccontextmanager
async def running(
    agent_process: AgentProcessFactory, packages: dict[str, str], *, idle_s: float = 60, name: str = "agent"
) -> AsyncIterator[tuple[AgentProcess, AgentClient]]:
    config = CONFIG.format(idle_s=idle_s)
    async with agent_process(config, environment=packages, name=name) as agent, agent.client() as client:
        yield agent, client


async def photograph(client: AgentClient, **params: Any) -> int:
    """Return the tier that served."""
    with anyio.fail_after(50):
        snapshot: Any = await client.call(
            "take_snapshot", device="camera1", **{"max_age_ms": 0, "deadline_ms": 40_000, **params}
        )
    tier: int = snapshot["tier_used"]
    return tier


def workers(agent: AgentProcess) -> set[int]:
    return {pid for pid in descendants(agent.pid) if b"rtsp_tier.worker" in _read(pid, "cmdline")}


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def has_decoder(pid: int) -> bool:
    """Return whether the process has loaded a decoder's library."""
    return b"libavcodec" in _read(pid, "maps")


async def test_the_agent_loads_no_decoder_and_idles_without_a_worker(
    agent_process: AgentProcessFactory, packages: dict[str, str]
) -> None:
    async with running(agent_process, packages, idle_s=1) as (agent, client):
        assert not workers(agent)
        with anyio.fail_after(30):
            await client.call("take_snapshot", device="camera0")
        assert not workers(agent)  # tier 0 needs none
        assert await photograph(client) == 3
        (worker,) = workers(agent)
        assert has_decoder(worker)
        assert await photograph(client) in {2, 3}
        assert not has_decoder(agent.pid)

        async def ended() -> bool:
            return not workers(agent)

        await eventually(ended, timeout_s=30)
        assert not is_running(worker)
        assert await photograph(client) == 3  # another one, at once
        assert workers(agent) - {worker}
        assert await agent.end() == 0


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGSTOP, *map(slow, (signal.SIGSEGV, signal.SIGTERM))]
)
async def test_a_worker_that_dies_or_hangs_costs_at_most_the_attempts_in_flight(
    agent_process: AgentProcessFactory, packages: dict[str, str], number: signal.Signals
) -> None:
    async with running(agent_process, packages) as (agent, client):
        assert await photograph(client) == 3
        assert await photograph(client) in {2, 3}
        (worker,) = workers(agent)
        os.kill(worker, number)
        failed = 0
        with anyio.fail_after(50):
            while True:
                try:
                    assert await photograph(client) in {2, 3}
                    break
                except CallFailed as error:
                    assert error.code == -32050
                    assert error.data["tiers_tried"]
                    failed += 1
        assert failed <= 3
        assert not is_running(worker)
        assert len(workers(agent)) == 1


@pytest.mark.parametrize("moment", ["tier 2", "tier 3", "idle"])
async def test_the_agent_ends_at_once_whatever_a_tier_is_doing(
    agent_process: AgentProcessFactory, packages: dict[str, str], moment: str
) -> None:
    async with running(agent_process, packages) as (agent, client):
        if moment != "tier 3":
            assert await photograph(client) == 3
        pids = set[int]()
        async with anyio.create_task_group() as tg:
            if moment != "idle":
                tg.start_soon(until_refused, client)
                await eventually(lambda: _has_begun(agent, pids))
            assert await agent.end() == 0
            tg.cancel_scope.cancel()

        async def gone() -> bool:
            return not any(is_running(pid) for pid in pids)

        await eventually(gone)
    assert "Traceback" not in agent.log


async def _has_begun(agent: AgentProcess, pids: set[int]) -> bool:
    """Return whether something works for a tier: a publisher or a worker."""
    pids |= descendants(agent.pid)
    return any(program_of(pid) == "ffmpeg" for pid in pids) or bool(workers(agent))


async def until_refused(client: AgentClient) -> None:
    while True:
        try:
            await client.call("take_snapshot", device="camera1", max_age_ms=0, deadline_ms=40_000)
        except Exception:  # noqa: BLE001 - the agent ends: a clear error, or a lost connection
            return


async def test_no_process_survives_an_agent_that_is_killed(
    agent_process: AgentProcessFactory, packages: dict[str, str]
) -> None:
    async with running(agent_process, packages) as (agent, client):
        assert await photograph(client) == 3
        (worker,) = workers(agent)
        agent.process.kill()

        async def gone() -> bool:
            return not is_running(worker)

        await eventually(gone, timeout_s=20)


async def test_two_agents_at_once_have_a_worker_each(
    agent_process: AgentProcessFactory, packages: dict[str, str]
) -> None:
    first, second = (running(agent_process, packages, name=name) for name in ("first", "second"))
    async with first as (one, client), second as (other, other_client):
        used = [await photograph(each) for each in (client, other_client, client, other_client)]
        assert used[:2] == [3, 3]
        (worker,), (other_worker,) = workers(one), workers(other)
        os.kill(worker, signal.SIGKILL)
        assert await photograph(other_client) in {2, 3}
        assert workers(other) == {other_worker}


@pytest.mark.parametrize("offset_s", [-7200, slow(300)])
async def test_a_wall_clock_that_is_set_changes_nothing(
    agent_process: AgentProcessFactory, packages: dict[str, str], tmp_path: Path, offset_s: float
) -> None:
    """The agent, the worker, the publisher and the media server see the new time; nothing waits for the old one."""
    wall_clock = ProgramWallClock(tmp_path)
    # Reading the clock's file at each look at the time would take the agent longer than it may wait for the server.
    environment = wall_clock.environment | {"FAKETIME_NO_CACHE": "0", "FAKETIME_CACHE_DURATION": "1"}
    async with running(agent_process, packages | environment) as (agent, client):
        assert await photograph(client) == 3
        assert await photograph(client) in {2, 3}
        wall_clock.set(offset_s)
        with anyio.fail_after(50):
            while True:
                snapshot: Any = await client.call(
                    "take_snapshot", device="camera1", max_age_ms=0, deadline_ms=40_000
                )
                assert snapshot["tier_used"] in {2, 3}
                assert 0 <= snapshot["age_ms"] < 40_000
                told_at = datetime.fromisoformat(snapshot["captured_at"])
                if abs((told_at - datetime.now(UTC)).total_seconds() - offset_s) < 60:
                    break
        assert await photograph(client) in {2, 3}
        assert workers(agent)

"""Starts that are ended, and an agent that is the first process of a container."""

import os
import signal
import subprocess
from pathlib import Path

import anyio
import pytest

from .conftest import AgentProcess, AgentProcessFactory, descendants, is_running

#: Its import is a part of the start, before the agent's server listens.
PLUGIN = """
import os, signal

from agent_core.plugin import Plugin, Settings

os.kill(os.getpid(), signal.SIGNAL)


class ImpatientPlugin(Plugin[Settings]):
    Settings = Settings
"""
#: Waits in a thread for a device that never answers.
HANGING = """
import threading

import anyio.to_thread
from agent_core.plugin import Component, Plugin, Settings, hookimpl


class Hanging(Component):
    name = "hanging"

    async def run(self, *, task_status):
        task_status.started()
        await anyio.to_thread.run_sync(threading.Event().wait, abandon_on_cancel=True)


class ImpatientPlugin(Plugin[Settings]):
    Settings = Settings

    @hookimpl
    def agent_components(self):
        return [Hanging()]
"""
UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Return a folder in which the plugin `impatient` is installed, without its module."""
    metadata = tmp_path / "packages" / "impatient-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: impatient\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[camera_agent.plugins]\nimpatient = impatient:ImpatientPlugin\n"
    )
    return metadata.parent


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_during_the_start_ends_it(
    agent_process: AgentProcessFactory, packages: Path, number: signal.Signals
) -> None:
    (packages / "impatient.py").write_text(PLUGIN.replace("SIGNAL", number.name))
    async with agent_process(
        '[plugins]\nenabled = ["impatient"]\n', environment={"PYTHONPATH": str(packages)}
    ) as agent:
        with anyio.fail_after(30):
            assert await agent.process.wait() == 0
    assert f"ending on {number.name}" in agent.log
    assert "listening on" not in agent.log
    assert "Traceback" not in agent.log


async def test_a_thread_that_hangs_does_not_keep_it_from_ending(
    agent_process: AgentProcessFactory, packages: Path
) -> None:
    (packages / "impatient.py").write_text(HANGING)
    async with agent_process(
        '[plugins]\nenabled = ["impatient"]\n', environment={"PYTHONPATH": str(packages)}
    ) as agent:
        await agent.url()
        assert await agent.end() == 0
    assert "a disk or a device hangs" in agent.log
    assert "Traceback" not in agent.log


@pytest.fixture
def pid_namespace() -> None:
    """Skip where no PID namespace can be made."""
    made = subprocess.run([*UNSHARE, "true"], check=False, capture_output=True)
    if os.geteuid() != 0 or made.returncode != 0:
        pytest.skip("a PID namespace needs root and unshare(1)")


async def first_process(agent: AgentProcess) -> int:
    """Return the process that is PID 1 in the namespace below `agent`, once it listens."""
    await agent.url()
    (pid,) = (pid for pid in descendants(agent.pid) if namespace_pid(pid) == 1)
    return pid


def namespace_pid(pid: int) -> int:
    """Return the id that a process has in its own namespace."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    return int(status.partition("NSpid:")[2].splitlines()[0].split()[-1])


@pytest.mark.usefixtures("pid_namespace")
async def test_as_the_first_process_of_a_container_it_reaps_orphans_and_ends_on_sigterm(
    agent_process: AgentProcessFactory,
) -> None:
    async with agent_process("[plugins]\nenabled = []\n", prefix=UNSHARE) as agent:
        pid = await first_process(agent)
        orphan = ["sh", "-c", "sleep 0.1 >/dev/null 2>&1 & echo $!"]
        await anyio.run_process(["nsenter", "--target", str(pid), "--pid", "--mount", *orphan])
        with anyio.fail_after(30):
            while not (left := descendants(pid)):
                await anyio.sleep(0.01)
            while descendants(pid):
                await anyio.sleep(0.05)
        assert not any(is_running(each) for each in left)
        os.kill(pid, signal.SIGTERM)
        with anyio.fail_after(20):
            assert await agent.process.wait() == 0
    assert "Traceback" not in agent.log


@pytest.mark.usefixtures("pid_namespace")
async def test_as_the_first_process_it_ends_on_a_signal_during_the_start(
    agent_process: AgentProcessFactory, packages: Path
) -> None:
    (packages / "impatient.py").write_text(PLUGIN.replace("SIGNAL", "SIGTERM"))
    async with agent_process(
        '[plugins]\nenabled = ["impatient"]\n', environment={"PYTHONPATH": str(packages)}, prefix=UNSHARE
    ) as agent:
        with anyio.fail_after(30):
            assert await agent.process.wait() == 0
    assert "listening on" not in agent.log

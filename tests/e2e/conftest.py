"""Whole agents: in this process, or as a process of their own."""

import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import SystemClock
from agent_core.client import AgentClient
from agent_core.testing.agents import CONNECT_LIMIT_S
from tests.canary import SECRET, SECRET_IN_LOG

#: Unprivileged files stand where the machine's own configuration might be.
CLEAN = {"CAMERA_AGENT__SERVER__PORT": "0"}


@dataclass
class AgentProcess:
    """A `camera-agent run` of its own, with its folders below `folder`."""

    process: Process
    folder: Path
    observe: Callable[[str], None]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    async def url(self) -> str:
        endpoint = self.folder / "state" / "endpoint.json"
        with anyio.fail_after(20):
            while not endpoint.exists():
                assert self.process.returncode is None, self.log
                await anyio.sleep(0.01)
        return str(json.loads(endpoint.read_text())["url"])

    @asynccontextmanager
    async def client(self, role: str = "operator", *, ready: bool = True) -> AsyncIterator[AgentClient]:
        """A client; with `ready` only once every source has reported its cameras."""
        url = await self.url()
        async with AgentClient(
            url, token=self.token(role), observe=self.observe, connect_timeout_s=CONNECT_LIMIT_S
        ) as client:
            with anyio.fail_after(20):
                while ready and (await client.call("get_system_status"))["discovery_active"]:
                    await anyio.sleep(0.01)
            yield client

    def token(self, role: str) -> str:
        """Return a token of the agent, which must have written its secret."""
        secret = Secret.load(self.folder / "state" / "secret")
        return TokenAuthority(secret, SystemClock()).create("test", Role(role), 600)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        with anyio.fail_after(20):
            return await self.process.wait()


AgentProcessFactory = Callable[..., AbstractAsyncContextManager[AgentProcess]]


@pytest.fixture
def agent_process(tmp_path: Path, observe: Callable[[str], None]) -> AgentProcessFactory:
    """Start `camera-agent run` with a configuration; killed at the end of the context if it still runs.

    `prefix` is a program that becomes it, with its arguments.
    """

    @asynccontextmanager
    async def start(
        config: str,
        *,
        environment: Mapping[str, str] | None = None,
        umask: int = -1,
        name: str = "agent",
        prefix: Sequence[str] = (),
    ) -> AsyncIterator[AgentProcess]:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        storage = f'[storage]\nstate_dir = "{folder}/state"\nruntime_dir = "{folder}/run"\n'
        (folder / "config.toml").write_text(storage + config)
        argv = [*prefix, sys.executable, "-m", "agent_core", "run", "--config", str(folder / "config.toml")]
        with (folder / "log").open("wb") as log:
            process = await anyio.open_process(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **CLEAN, **(environment or {})},
                umask=umask,
            )
        try:
            agent = AgentProcess(process, folder, observe)
            yield agent
            assert not SECRET.search(_shown(process.pid)), "a secret is in a command line"
            assert not SECRET_IN_LOG.search(agent.log), "a secret is in the log"
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.wait()

    return start


def _shown(pid: int) -> str:
    """Return the command lines of a process and those below it."""
    lines = []
    for each in (pid, *descendants(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            lines.append(Path(f"/proc/{each}/cmdline").read_text(errors="replace"))
    return "\n".join(lines)


def descendants(pid: int) -> set[int]:
    """Return the process ids below `pid`.

    From every process's parent: the kernel's lists of children omit some while others end (proc_pid_task(5)), and
    vanish with their thread between being found and read.
    """
    children: defaultdict[int, set[int]] = defaultdict(set)
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                children[int((each / "stat").read_text().rpartition(")")[2].split()[1])].add(int(each.name))
    found, new = set[int](), children[pid]
    while new:
        found |= new
        new = set[int]().union(*(children[child] for child in new)) - found
    return found


def is_running(pid: int) -> bool:
    """Whether `pid` is a process that has not ended; a zombie has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"

"""Agents in processes of their own, on free ports and in folders of their own, and CPU times of processes."""

import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from websockets.asyncio.client import ClientConnection, connect

from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.auth.tokens import TokenAuthority
from agent_core.base.clock import SystemClock

CONFIG = """\
[server]
port = 0
max_connections = 100000
max_connections_per_address = 100000
max_unauthenticated_connections = 100000
ping_interval_s = 3600
[auth]
calls_per_s = 1e9
calls_burst = 1000000000
[storage]
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
"""


@dataclass(frozen=True, slots=True)
class AgentProcess:
    """Listening agent. `http_url` has no trailing slash."""

    pid: int
    url: str
    folder: Path

    @property
    def http_url(self) -> str:
        return self.url.replace("ws", "http", 1).removesuffix("/ws")

    def token(self, role: Role) -> str:
        return TokenAuthority(Secret.load(self.folder / "state/secret"), SystemClock()).create(
            "bench", role, 3600
        )


@contextlib.asynccontextmanager
async def agent_process(
    plugins: str, prepare: Callable[[Path], None] = lambda _state: None
) -> AsyncIterator[AgentProcess]:
    """Run an agent with limits too high for a benchmark to reach.

    `plugins` is the table `[plugins]` with its subtables, as TOML; `prepare` is called with the empty state folder.
    """
    with TemporaryDirectory(prefix="bench-") as temporary:
        folder = Path(temporary)
        config = folder / "config.toml"
        config.write_text(CONFIG.format(folder=folder) + plugins)
        (folder / "state").mkdir(mode=0o700)
        prepare(folder / "state")
        words = [sys.executable, "-m", "agent_core", "run", "--config", str(config)]
        process = await anyio.open_process(words, stdout=None, stderr=None, cwd=folder)
        try:
            endpoint = folder / "state/endpoint.json"
            while not endpoint.exists():
                if process.returncode is not None:
                    raise SystemExit("the agent did not start")
                await anyio.sleep(0.02)
            yield AgentProcess(process.pid, json.loads(endpoint.read_text())["url"], folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


async def connected(url: str) -> ClientConnection:
    """Connect to a server; retry while it is starting."""
    while True:
        try:
            return await connect(url, compression=None, ping_interval=None)
        except OSError:
            await anyio.sleep(0.02)


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads, ended ones included, with a resolution of nanoseconds.

    A tick of /proc/PID/stat would be too coarse: it lasts as long as a hundred calls.
    """
    clock_of_process = (~pid << 3) | 2  # as clock_getcpuclockid(3), which Python lacks for other processes
    return time.clock_gettime(clock_of_process)


def memory_kb(pid: int) -> tuple[int, int]:
    """Return the resident memory, and the part of it that is not shared with other processes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kb = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return kb["Rss"], kb["Private_Clean"] + kb["Private_Dirty"]


def spread(values: list[float]) -> str:
    """Return median, minimum and maximum."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.2f}  (min {ordered[0]:.2f}, max {ordered[-1]:.2f})"

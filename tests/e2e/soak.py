"""The parts of the soak: a media server that can be killed and comes back, faults at random, and clients that go on."""

import logging
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from agent_core.base.errors import AgentError
from agent_core.client import CallFailed
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.testing.mediamtx import MediaServerUnderTest, free_ports
from tests.media_servers import running_server

from .media import Rig

Faults = Mapping[str, Callable[[], Awaitable[None]]]

#: What a call may fail with while things break: busy or stopped already, no picture, no server.
EXPECTED_CODES = {-32010, -32020, -32030, -32050}
STOPPED_FOR_S = 2.0
#: More is started than stopped, so that much goes on at the same time.
WEIGHTS = (3, 2, 3, 2, 2, 1)


@dataclass
class Tally:
    """What happened: actions and faults by name, failures by reason; `kills_s` are wall-clock seconds."""

    actions: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    kills_s: list[float] = field(default_factory=list)


class KillableServer:
    """A media server on ports that stay the same; `current` is the process that runs now."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._folder = folder
        self._ports = free_ports()
        self._killed = anyio.Event()
        self._up = anyio.Event()
        self.current: MediaServerUnderTest | None = None

    @property
    def rtsp_port(self) -> int:
        return self._ports[1]

    @property
    def server(self) -> MediaServerUnderTest:
        assert self.current is not None
        return self.current

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._run)
            await self._up.wait()
            yield
            tg.cancel_scope.cancel()

    async def _run(self) -> None:
        while True:
            async with running_server(self._kind, self._folder, ports=self._ports) as self.current:
                self._up.set()
                await self._killed.wait()

    async def kill_and_restart(self) -> None:
        """SIGKILL; returns when the next one accepts connections."""
        with suppress(ProcessLookupError):
            self.server.signal(signal.SIGKILL)
        with anyio.fail_after(10):
            await self.server.process.wait()
        self._up = anyio.Event()
        self._killed.set()
        self._killed = anyio.Event()
        with anyio.fail_after(30):
            await self._up.wait()

    async def hang(self) -> None:
        self.server.signal(signal.SIGSTOP)
        await anyio.sleep(STOPPED_FOR_S)
        self.server.signal(signal.SIGCONT)

    async def restore(self) -> None:
        """Have it run, in whatever state a cancelled fault has left it."""
        if self.server.process.returncode is not None:
            await self.kill_and_restart()
        with anyio.fail_after(30):
            await self._up.wait()
        self.server.signal(signal.SIGCONT)


class Chaos:
    """Breaks one thing after the other."""

    def __init__(
        self, rig: Rig, server: KillableServer, cameras: list[str], rng: random.Random, tally: Tally
    ) -> None:
        self._rig = rig
        self._server = server
        self._cameras = cameras
        self._rng = rng
        self._tally = tally

    async def run(self) -> None:
        """Two faults at a time: one of the cameras and their publishers, one of the server."""
        of_cameras: Faults = {
            "stall": partial(self._camera_fault, "stall"),
            "vanish": partial(self._camera_fault, "vanish"),
            "corrupt": partial(self._camera_fault, "corrupt"),
            "publisher killed": self._kill_publisher,
        }
        of_server: Faults = {
            "path deleted": self._delete_path,
            "path patched": self._patch_path,
            "server stopped": self._server.hang,
            "server killed": self._kill_server,
        }
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._one_after_the_other, of_cameras)
            tg.start_soon(self._one_after_the_other, of_server)

    async def _one_after_the_other(self, faults: Faults) -> None:
        while True:
            await anyio.sleep(self._rng.uniform(0.5, 5))
            name = self._rng.choice([*faults])
            self._tally.faults[name] += 1
            await faults[name]()

    async def _camera_fault(self, name: str) -> None:
        device = self._rng.choice(self._cameras)
        await self._rig.call("virtual_camera.set_fault", device, fault=name, enabled=True)
        await anyio.sleep(self._rng.uniform(0.5, 4))
        await self._rig.call("virtual_camera.set_fault", device, fault=name, enabled=False)

    async def mend(self) -> None:
        """Every camera is as it should be again."""
        for device in self._cameras:
            for fault in ("stall", "corrupt", "vanish"):
                await self._rig.call("virtual_camera.set_fault", device, fault=fault, enabled=False)

    async def _kill_publisher(self) -> None:
        pids = publishers_at(self._server.rtsp_port)
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(pids), signal.SIGKILL)

    async def _delete_path(self) -> None:
        async with MediaServerClient(self._server.server.api_url) as other:
            with suppress(AgentError):
                await other.delete_path(self._rng.choice(self._cameras))

    async def _patch_path(self) -> None:
        wrong = PathConf(record=self._rng.random() < 0.5)
        async with MediaServerClient(self._server.server.api_url) as other:
            with suppress(AgentError):
                await other.patch_path(self._rng.choice(self._cameras), wrong)

    async def _kill_server(self) -> None:
        self._tally.kills_s.append(time.time())
        await self._server.kill_and_restart()


async def use(rig: Rig, device: str, rng: random.Random, tally: Tally) -> None:
    """Start and stop things of one camera at random, until cancelled; every failure has to be a clear one."""
    actions: dict[str, dict[str, Any]] = {
        "start_recording": {},
        "stop_recording": {},
        "start_streaming": {},
        "stop_streaming": {},
        "take_snapshot": {"deadline_ms": 5000},
        "get_stream_status": {},
    }
    while True:
        await anyio.sleep(rng.uniform(0.2, 4))
        (method,) = rng.choices([*actions], WEIGHTS)
        params = dict(actions[method])
        if method == "start_recording":
            params = rng.choice([{}, {"duration": 3}, {"wait": True}, {"format": "mpegts"}])
        tally.actions[method] += 1
        try:
            # The agent finishes a call whose client is cancelled: it could start what the end of the test then stops.
            with anyio.CancelScope(shield=True):
                await rig.call(method, device, **params)
        except CallFailed as error:
            assert error.code in EXPECTED_CODES, (method, error)
            assert error.reason, (method, error)
            assert error.suggestion, (method, error)
            tally.failures[f"{method}: {error.reason}"] += 1


def publishers_at(rtsp_port: int) -> list[int]:
    """Every process of this machine that was told to publish at that port, whoever is its parent."""
    wanted = f"rtsp://127.0.0.1:{rtsp_port}/".encode()
    return sorted(pid for pid, words in _commands() if wanted in words)


def processes_with(words: str) -> list[int]:
    return sorted(pid for pid, command in _commands() if words.encode() in command)


def _commands() -> list[tuple[int, bytes]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with suppress(OSError):
                found.append((int(folder.name), (folder / "cmdline").read_bytes()))
    return found


def rss_bytes() -> int:
    """Of this process, in which the agent runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def logged_to(file: Path) -> Iterator[None]:
    """Keep the agent's log out of pytest's memory, which would look like the agent's."""
    log = logging.getLogger("camera_agent")
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = True
        log.removeHandler(handler)
        handler.close()


async def sample_rss(samples: list[int], every_s: float) -> None:
    while True:
        samples.append(rss_bytes())
        await anyio.sleep(every_s)

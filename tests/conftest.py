"""A toy agent behind a real port: the real server, sessions and downloads over a few methods of its own."""

import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import pytest

from agent_core.auth.roles import Role
from agent_core.base.errors import CaptureFailed, NotFound
from agent_core.config import ServerConfig
from agent_core.media.downloads import DirectoryFiles, Downloads
from agent_core.plugin.abc import RpcParams
from agent_core.recordings.store import RecordingStore
from agent_core.rpc.table import Caller, Method, MethodTable
from agent_core.rpc.topics import EventTopics
from agent_core.testing import SimulatedClock
from agent_core.web.routes import web_app
from agent_core.web.server import RpcServer
from tests.toy_server import Toy, no_metrics

PICTURE = b"\xff\xd8" + bytes(range(256)) * 400 + b"\xff\xd9"


class Nothing(RpcParams):
    pass


class Device(RpcParams):
    device: str


class Text(RpcParams):
    text: str
    number: float | None = None


class Wanted(Device):
    format: str = "jpg"
    quality: int | None = None
    width: int | None = None
    height: int | None = None
    max_age_ms: int | None = None
    deadline_ms: int | None = None


@dataclass(frozen=True)
class Raw:
    """A server that says what it likes. `url` is a WebSocket's, `http` the same address for downloads."""

    url: str
    http: str


def toy_topics() -> EventTopics:
    """Return topics rendered as they are published, without those of one recording's start and stop."""
    topics = EventTopics()
    for topic in topics.names:
        if topic not in ("recording.started", "recording.stopped"):
            topics.register(topic, lambda payload, _at: payload)
    return topics


class ToyAgent(Toy):
    """Toy with cameras and downloads, behind a port.

    Attributes:
        url: address of the WebSocket while it runs.
        snapshot_url: `download_url` that `take_snapshot` returns instead of the real one.
        snapshot_size: `file_size` that `take_snapshot` returns instead of the real one.
        asked: parameters of each call of `take_snapshot`.
        waiting: set by a call of `wait`.
    """

    def __init__(self, state_dir: Path) -> None:
        auth = {"calls_per_s": 10_000, "calls_burst": 10_000, "failures_per_minute": 100}
        super().__init__(
            state_dir,
            table=MethodTable(self._methods()),
            topics=toy_topics(),
            sections={"auth": auth},
            clock=SimulatedClock(datetime.now(UTC)),
        )
        self.snapshots = state_dir / "snapshots"
        self.recordings = RecordingStore(state_dir / "recordings")
        self.waiting = anyio.Event()
        self.url = ""
        self.snapshot_url: str | None = None
        self.snapshot_size: int | None = None
        self.asked: list[dict[str, Any]] = []
        self.cameras = [self._camera("camera0", "Front door"), self._camera("camera1", "Yard\x1b[31m")]

    def subscribed(self) -> dict[str, int]:
        return self.sessions.topic_counts()

    async def run(self, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        downloads = Downloads({"snapshots": DirectoryFiles(self.snapshots), "recordings": self.recordings})
        http = web_app(
            ready=lambda: True,
            metrics=no_metrics,
            gate=self.auth,
            links=self.links,
            live=self.live,
            open_download=downloads.open,
        )
        server = RpcServer(ServerConfig(port=0), self.sessions, http)
        async with anyio.create_task_group() as tasks:
            await tasks.start(server.run)
            self.url = f"ws://127.0.0.1:{server.port}/ws"
            task_status.started()

    def _methods(self) -> list[Method]:
        rows: list[tuple[str, Role, type[RpcParams], Callable[[Any, Caller], Awaitable[object]]]] = [
            ("get_camera_list", Role.VIEWER, Nothing, self._list),
            ("take_snapshot", Role.OPERATOR, Wanted, self._take),
            ("get_camera_status", Role.VIEWER, Device, self._missing),
            ("echo", Role.VIEWER, Text, self._echo),
            ("wait", Role.VIEWER, Nothing, self._wait),
            ("wipe", Role.ADMIN, Nothing, self._list),
            ("break", Role.VIEWER, Nothing, self._break),
        ]
        errors = (NotFound, CaptureFailed)
        return [
            Method(name, role, name, params, Any, handler, errors=errors)
            for name, role, params, handler in rows
        ]

    def _camera(self, device: str, name: str) -> dict[str, object]:
        return {"device": device, "name": name, "status": "CONNECTED", "resolution": "640x480", "fps": 15.0}

    async def _list(self, _params: object, _caller: Caller) -> object:
        return {"cameras": self.cameras, "total": len(self.cameras), "connected": len(self.cameras)}

    async def _take(self, params: Wanted, caller: Caller) -> object:
        self.asked.append(params.model_dump(exclude_none=True))
        if params.device != "camera0":
            raise NotFound("There is no such camera.", resource="camera", id=params.device)
        name = f"{params.device}/a b.{params.format}"
        (self.snapshots / params.device).mkdir(parents=True, exist_ok=True)
        (self.snapshots / name).write_bytes(PICTURE)
        return {
            "device": params.device,
            "filename": name,
            "file_size": self.snapshot_size or len(PICTURE),
            "resolution": "640x480",
            "format": params.format,
            "tier_name": "toy",
            "age_ms": 12,
            "download_url": self.snapshot_url or self.links.of(caller.user)("snapshots", name),
        }

    async def _missing(self, params: Device, _caller: Caller) -> object:
        raise NotFound("There is no such camera.", resource="camera", id=params.device)

    async def _echo(self, params: Text, _caller: Caller) -> object:
        return params.model_dump(exclude_none=True)

    async def _wait(self, _params: object, _caller: Caller) -> None:
        self.waiting.set()
        await anyio.sleep_forever()

    async def _break(self, _params: object, _caller: Caller) -> object:
        raise CaptureFailed("No picture\ncame.", suggestion="Look at it.")


@pytest.fixture
async def toy(tmp_path: Path) -> AsyncIterator[ToyAgent]:
    agent = ToyAgent(tmp_path / "state")
    async with anyio.create_task_group() as tasks:
        await tasks.start(agent.run)
        yield agent
        tasks.cancel_scope.cancel()


Talk = Callable[[anyio.abc.SocketStream], Awaitable[None]]


@asynccontextmanager
async def raw_server(talk: Talk) -> AsyncIterator[Raw]:
    """A listener that hands each connection to `talk` and then closes it."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - this is no Django

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await talk(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield Raw(f"ws://127.0.0.1:{port}/ws", f"http://127.0.0.1:{port}/file")
        tasks.cancel_scope.cancel()


@pytest.fixture
def raw() -> Callable[[Talk], AbstractAsyncContextManager[Raw]]:
    return raw_server


@pytest.fixture
async def cut_off() -> AsyncIterator[Raw]:
    """An HTTP server that promises 1000 bytes, sends 10 and goes."""

    async def talk(stream: anyio.abc.SocketStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n0123456789")

    async with raw_server(talk) as server:
        yield server


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount small file systems below the test's folder."""
    mounted: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"tmpfs{len(mounted)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "camera-agent-test", str(folder)]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode != 0:
            pytest.skip("mounting a tmpfs needs root and mount(8)")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)

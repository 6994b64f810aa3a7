"""An agent with cameras that a test drives, and a reader of `multipart/x-mixed-replace` that checks every byte."""

import io
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
from PIL import Image

from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.roles import Role
from agent_core.base.clock import SystemClock
from agent_core.plugin import (
    NOT_ASKED,
    AgentContext,
    Camera,
    CameraReport,
    CameraSource,
    CapturedAtSource,
    CaptureRequest,
    DetectedCamera,
    Fingerprint,
    Picture,
    PictureFormat,
    Plugin,
    Settings,
    SnapshotTier,
    Started,
    hookimpl,
)
from agent_core.plugin.frames import BrokerSettings, FrameBroker
from agent_core.testing import RunningAgent, running_agent
from agent_core.testing.scripted_producer import ScriptedProducer, a_jpeg

SHADES = [a_jpeg(shade=shade) for shade in range(10, 250, 10)]
CLOCK = SystemClock()
PATH = "/cameras/camera0/live.mjpeg"
LIMIT_S = 30


class Stage:
    """Two cameras: camera0 with a broker, whose frames a test offers; camera1 with a tier only."""

    def __init__(self) -> None:
        self.producer = ScriptedProducer()
        self.taken = 0
        self.is_playing = True
        #: Bytes of the picture that the tier takes.
        self.still = SHADES[0]
        self.report: CameraReport | None = None
        #: The tier takes no picture before it is set.
        self.may_take = anyio.Event()
        self.may_take.set()
        self.broker_scope = anyio.CancelScope()

    def offer(self, data: bytes) -> None:
        self.producer.sink.offer(data, captured_s=CLOCK.monotonic_s())

    async def play(self, *, interval_s: float = 0.01) -> None:
        """Offer frames whenever the producer streams, unless `is_playing` is False, until cancelled."""
        number = 0
        while True:
            if self.producer.streaming and self.is_playing:
                self.offer(SHADES[number % len(SHADES)])
                number += 1
            await anyio.sleep(interval_s)

    def unplug(self) -> None:
        """End camera0 as a source does whose device has gone."""
        assert self.report is not None
        self.broker_scope.cancel()
        self.report.disconnected("a", "It was unplugged.")


class StageSource(CameraSource):
    name = "stage"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        stage = self._stage
        stage.report = report
        broker = FrameBroker(stage.producer, clock=CLOCK, settings=BrokerSettings(warm_ttl_s=0.05))
        async with anyio.create_task_group() as tasks:

            async def run(*, task_status: Started = NOT_ASKED) -> None:
                with stage.broker_scope:
                    await broker.run(task_status=task_status)

            await tasks.start(run)
            for number, frames in ((0, broker), (1, None)):
                report.connected(
                    DetectedCamera(
                        "ab"[number],
                        f"Camera {number}",
                        Fingerprint(self.name, serial=str(number)),
                        None,
                        number_hint=number,
                        frames=frames,
                    )
                )
            task_status.started()


class StageTier(SnapshotTier):
    name, rank = "stage tier", 1

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def supports(self, camera: Camera) -> bool:
        return camera.id == "camera1"

    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        await self._stage.may_take.wait()
        self._stage.taken += 1
        await anyio.sleep(0.05)
        now_s = CLOCK.monotonic_s()
        return Picture(self._stage.still, PictureFormat.JPG, 64, 48, now_s, CapturedAtSource.ARRIVAL)


@dataclass(frozen=True, slots=True)
class Box:
    """A running agent with its stage and a client without credentials."""

    agent: RunningAgent
    stage: Stage
    http: httpx.AsyncClient

    def bearer(self, role: str = "viewer") -> dict[str, str]:
        return {"authorization": f"Bearer {self.agent.token(role)}"}

    def key(self, user: str = "hub", role: Role = Role.VIEWER) -> str:
        """Make an API key as another process does."""
        return self.keys.create(user, role)

    @property
    def keys(self) -> ApiKeys:
        return ApiKeys(self.agent.folder / "state/api-keys.json", CLOCK)


@asynccontextmanager
async def box(
    config: Mapping[str, Any] | None = None,
    folder: Path | None = None,
    *,
    verify: ssl.SSLContext | bool = True,
    reread: Callable[[], Mapping[str, Any]] | None = None,
) -> AsyncIterator[Box]:
    """Run an agent whose camera0 plays as long as it is wanted; `verify` is the client's, for TLS.

    `reread` returns the configuration of a reload.
    """
    stage = Stage()

    class StagePlugin(Plugin[Settings]):
        @hookimpl
        def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
            return [StageSource(stage)]

        @hookimpl
        def agent_snapshot_tiers(self, agent: AgentContext) -> list[SnapshotTier]:
            return [StageTier(stage)]

    async with running_agent(
        plugins={"stage": StagePlugin}, config=config, folder=folder, reread=reread
    ) as agent:
        async with (
            httpx.AsyncClient(base_url=agent.http_url, timeout=30, verify=verify) as http,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(stage.play)
            yield Box(agent, stage, http)
            tasks.cancel_scope.cancel()


@dataclass(frozen=True, slots=True)
class Part:
    headers: Mapping[str, str]
    data: bytes


async def parts_of(response: httpx.Response) -> AsyncIterator[Part]:
    """Yield the parts of a response; fail for a byte that is not where it should be."""
    kind, _, boundary = response.headers["content-type"].partition("; boundary=")
    if kind == "application/octet-stream":
        boundary = "camera-agent-picture"
    else:
        assert kind == "multipart/x-mixed-replace"
    delimiter = f"--{boundary}\r\n".encode()
    buffer, is_first = b"", True
    async for chunk in response.aiter_bytes():
        buffer += chunk
        while True:
            start = len(delimiter) if is_first else 0
            end = buffer.find(b"\r\n\r\n", start)
            if end < 0:
                break
            if is_first:
                assert buffer.startswith(delimiter)
            lines = buffer[start:end].decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            stop = end + 4 + int(headers["content-length"])
            if len(buffer) < stop + 2 + len(delimiter):
                break
            assert buffer[stop : stop + 2 + len(delimiter)] == b"\r\n" + delimiter
            yield Part(headers, buffer[end + 4 : stop])
            buffer, is_first = buffer[stop + 2 + len(delimiter) :], False
    assert buffer in (b"", delimiter)


def size_of(data: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture.size


@asynccontextmanager
async def view(
    it: Box, path: str = PATH, headers: dict[str, str] | None = None
) -> AsyncIterator[AsyncIterator[Part]]:
    headers = it.bearer() if headers is None else headers
    with anyio.fail_after(LIMIT_S):
        async with it.http.stream("GET", path, headers=headers) as response:
            assert response.status_code == 200, await response.aread()
            yield parts_of(response)


async def some(parts: AsyncIterator[Part], count: int) -> list[Part]:
    return [await anext(parts) for _ in range(count)]


def request_of(it: Box, path: str = PATH) -> bytes:
    token = it.agent.token("viewer")
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

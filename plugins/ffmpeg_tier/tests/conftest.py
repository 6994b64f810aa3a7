"""Fixtures with real parts: each installed FFmpeg, and a broker with its frame socket and a scripted producer."""

import io
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from PIL import Image

from agent_core.plugin import (
    Camera,
    CameraId,
    CameraStatus,
    DetectedCamera,
    Fingerprint,
    FrameSocket,
    MediaInput,
    ffmpeg,
)
from agent_core.plugin.frames import BrokerSettings, FrameBroker, FrameProducer, FrameServer, FrameSink
from agent_core.testing import SystemClock

FPS = 15
SIZE = (320, 240)


def picture(number: int) -> bytes:
    """Return a JPEG that depends on `number` throughout. A gradient is enough; noise would be slow."""
    image = Image.linear_gradient("L").resize(SIZE).rotate(number * 7).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85, comment=f"frame {number}".encode())
    return buffer.getvalue()


class ScriptedProducer(FrameProducer):
    """Producer of numbered pictures at a steady rate until `silent` is set. Records each exposure time."""

    def __init__(self, fps: float) -> None:
        self._interval_s = 1 / fps
        self.pictures = [picture(number) for number in range(30)]
        self.exposed_s: dict[bytes, list[float]] = {}
        self.silent = False
        self.settled = True

    async def stream(self, sink: FrameSink) -> None:
        number = 0
        while True:
            if not self.silent:
                data = self.pictures[number % len(self.pictures)]
                now_s = time.monotonic()
                self.exposed_s.setdefault(data, []).append(now_s)
                sink.offer(data, captured_s=now_s, settled=self.settled)
                number += 1
            await anyio.sleep(self._interval_s)


class FrameSource:
    def __init__(self, socket: FrameSocket, producer: ScriptedProducer, broker: FrameBroker) -> None:
        self.socket = socket
        self.producer = producer
        self.broker = broker


FrameSources = Callable[..., AbstractAsyncContextManager[FrameSource]]


@pytest.fixture
def clock() -> SystemClock:
    return SystemClock()


@pytest.fixture
def frame_source(tmp_path: Path, clock: SystemClock) -> FrameSources:
    """Opener of a real broker with a real socket. `stall_s` is that of `BrokerSettings`."""

    @asynccontextmanager
    async def opened(stall_s: float = 4.0, fps: float = FPS) -> AsyncIterator[FrameSource]:
        producer = ScriptedProducer(fps)
        broker = FrameBroker(producer, clock=clock, settings=BrokerSettings(stall_s=stall_s))
        path = tmp_path / "camera0.sock"
        async with anyio.create_task_group() as tg:
            await tg.start(broker.run)
            await tg.start(FrameServer(broker, path, clock=clock, fps=fps).run)
            yield FrameSource(FrameSocket(path, *SIZE, fps), producer, broker)
            tg.cancel_scope.cancel()

    return opened


def installed() -> list[str]:
    return [each for each in (shutil.which("ffmpeg"), ffmpeg.bundled()) if each]


@pytest.fixture(params=installed(), ids=lambda path: Path(path).name[:12])
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def camera() -> Callable[[MediaInput | None], Camera]:
    def made(media_input: MediaInput | None) -> Camera:
        detected = DetectedCamera("key", "A camera", Fingerprint("test"), media_input)
        return Camera(CameraId("camera0"), CameraStatus.CONNECTED, 0.0, detected)

    return made


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    """Return a maker of executables that replace FFmpeg, from the body of a shell script."""

    def made(body: str) -> str:
        path = tmp_path / "ffmpeg-script"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return str(path)

    return made

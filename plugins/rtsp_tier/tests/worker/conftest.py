"""The worker as a process, and streams for it."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol, cast

import anyio
import pytest
from anyio.abc import ByteReceiveStream, ByteSendStream, Process

from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import ffmpeg
from agent_core.plugin.processes import child
from agent_core.testing.mediamtx import MediaServerUnderTest
from agent_core.testing.waiting import eventually
from rtsp_tier.messages import (
    TO_PLUGIN,
    Cancel,
    CloseReader,
    Configure,
    Decoder,
    Failed,
    Message,
    OpenReader,
    Ping,
    Pong,
    ReaderEnded,
    ReaderOpen,
    Taken,
    TakeOnce,
    TakeResident,
    encode,
)
from tests.odd.video import Video
from tests.odd.video import encode as encode_video

#: Limit of every wait for the worker; it is never reached on a host that works.
LIMIT_S = 40.0
SETTINGS = Configure(
    latency_s=0.2,
    connect_timeout_s=10.0,
    silence_timeout_s=10.0,
    group_limit_bytes=8 << 20,
    jpeg_quality=90,
)


class WorkerProcess:
    """Worker that runs, and the plugin's end of its pipes."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._decoder = Decoder(TO_PLUGIN)
        self._numbers = count(1)
        self.received: list[Message] = []

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    @property
    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    async def send(self, message: Message) -> None:
        await cast("ByteSendStream", self.process.stdin).send(encode(message))

    async def close_input(self) -> None:
        await cast("ByteSendStream", self.process.stdin).aclose()

    async def until(self, is_wanted: Callable[[Message], bool]) -> Message:
        """Return the first message received so far, or next, for which `is_wanted` is true."""
        with anyio.fail_after(LIMIT_S):
            while True:
                for each in self.received:
                    if is_wanted(each):
                        self.received.remove(each)
                        return each
                data = await cast("ByteReceiveStream", self.process.stdout).receive()
                self.received += self._decoder.feed(data)

    async def answer(self, request: int) -> Taken | Failed:
        found = await self.until(lambda each: isinstance(each, Taken | Failed) and each.request == request)
        assert isinstance(found, Taken | Failed)
        return found

    async def ask_once(
        self,
        url: str,
        *,
        max_age_s: float = 60.0,
        limit_s: float = 30.0,
        user: str | None = None,
        password: str | None = None,
        unsettled_from_s: float = 0.0,
    ) -> int:
        number, now_s = next(self._numbers), time.monotonic()
        since_s, until_s = now_s - max_age_s, now_s + limit_s
        await self.send(TakeOnce(number, url, user, password, since_s, until_s, 0.0, unsettled_from_s))
        return number

    async def take_once(self, url: str, **options: Any) -> Taken | Failed:
        """Ask as `ask_once` does, and return the answer."""
        return await self.answer(await self.ask_once(url, **options))

    async def ask(
        self, reader: int, *, max_age_s: float = 60.0, limit_s: float = 30.0, key_frame: bool = False
    ) -> int:
        number, now_s = next(self._numbers), time.monotonic()
        await self.send(TakeResident(number, reader, now_s - max_age_s, now_s + limit_s, key_frame))
        return number

    async def take(
        self, reader: int, *, max_age_s: float = 60.0, limit_s: float = 30.0, key_frame: bool = False
    ) -> Taken | Failed:
        return await self.answer(
            await self.ask(reader, max_age_s=max_age_s, limit_s=limit_s, key_frame=key_frame)
        )

    async def open(
        self, reader: int, url: str, user: str | None = None, password: str | None = None
    ) -> ReaderOpen | ReaderEnded:
        await self.send(OpenReader(reader, url, user, password))
        found = await self.until(
            lambda each: isinstance(each, ReaderOpen | ReaderEnded) and each.reader == reader
        )
        assert isinstance(found, ReaderOpen | ReaderEnded)
        return found

    async def ended(self, reader: int) -> ReaderEnded:
        found = await self.until(lambda each: isinstance(each, ReaderEnded) and each.reader == reader)
        assert isinstance(found, ReaderEnded)
        return found

    async def close(self, reader: int) -> None:
        await self.send(CloseReader(reader))

    async def cancel(self, request: int) -> None:
        await self.send(Cancel(request))

    async def ping(self) -> Pong:
        number = next(self._numbers)
        await self.send(Ping(number))
        found = await self.until(lambda each: isinstance(each, Pong) and each.number == number)
        assert isinstance(found, Pong)
        return found


class StartWorker(Protocol):
    def __call__(self, **settings: Any) -> AbstractAsyncContextManager[WorkerProcess]: ...


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[WorkerProcess]:
    """Run a worker with these settings instead of the usual ones of the tests."""
    argv = [sys.executable, "-m", "rtsp_tier.worker"]
    async with child(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        worker = WorkerProcess(process)
        await worker.send(replace(SETTINGS, **settings))
        yield worker


@pytest.fixture
def start_worker() -> StartWorker:
    return running


@pytest.fixture
async def worker() -> AsyncIterator[WorkerProcess]:
    async with running() as worker:
        yield worker


X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
#: Encoders of published streams, with their codec and a key frame every `-g` pictures.
ENCODERS = {
    "h264": (*X264, "-tune", "zerolatency"),
    "h264_reordered": (*X264, "-bf", "2", "-b_strategy", "0"),
    "h265": (*X265, "-tune", "zerolatency", "-x265-params", "log-level=none:repeat-headers=1"),
    "mjpeg": ("-c:v", "mjpeg", "-q:v", "3", "-huffman", "default", "-pix_fmt", "yuvj420p"),
}


class Publish(Protocol):
    def __call__(
        self, codec: str, *, size: str = "320x240", group: int = 8
    ) -> AbstractAsyncContextManager[str]: ...


@pytest.fixture
def publish(media_server: MediaServerUnderTest, media_client: MediaServerClient) -> Publish:
    """Return a function that publishes a moving picture at 15 per second and returns its address when it is live."""

    @asynccontextmanager
    async def publishing(codec: str, *, size: str = "320x240", group: int = 8) -> AsyncIterator[str]:
        url = f"{media_server.rtsp_url}/{codec}"
        await media_client.add_path(codec, PathConf())
        source = ("-f", "lavfi", "-i", f"testsrc2=size={size}:rate=15,realtime")
        encoder = (*ENCODERS[codec], "-g", str(group), "-f", "rtsp", "-rtsp_transport", "tcp", url)
        async with child([ffmpeg.locate(), *ffmpeg.QUIET, *source, *encoder]):
            await eventually(lambda: _is_live(media_client, codec), timeout_s=LIMIT_S)
            yield url

    return publishing


async def _is_live(client: MediaServerClient, path: str) -> bool:
    found = await client.path(path)
    return found is not None and found.live


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    """H.264 pictures for a camera that fails, a key frame every 8."""
    return encode_video(tmp_path_factory.mktemp("video"), "H264", *X264, "-bf", "0")

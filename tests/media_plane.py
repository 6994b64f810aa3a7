"""Streams and recordings over a media server, without an agent around them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.errors import NotFound
from agent_core.base.events import EventBus, Subscription
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    DetectedCamera,
    FfmpegInput,
    Fingerprint,
    MediaInput,
)
from agent_core.config import MediaServerConfig, RecordingsConfig
from agent_core.mediamtx.breaker import BreakerSettings, CircuitBreaker
from agent_core.mediamtx.endpoints import Endpoints
from agent_core.mediamtx.link import ServerLink
from agent_core.plugin import Publisher, ffmpeg
from agent_core.recordings import RecordingManager
from agent_core.recordings.models import RecordingEvent
from agent_core.recordings.store import RecordingStore
from agent_core.streams import CameraPaths, StreamLeases
from agent_core.streams.plan import PathPlan
from agent_core.streams.publishers.progress import PublisherProgress
from agent_core.testing.mediamtx import MediaServerUnderTest

INPUT = FfmpegInput(("-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=15"))


class Plane:
    """The parts, wired as the agent wires them. `cameras` and `argv` may be changed by a test."""

    def __init__(self, server: MediaServerUnderTest, folder: Path, clock: Clock | None = None) -> None:
        self.server = server
        self.bus = EventBus()
        self.cameras = {"camera0": camera("camera0"), "camera1": camera("camera1")}
        self.argv = publisher_argv()
        clock = clock or SystemClock()

        async def endpoints() -> Endpoints:
            return Endpoints(server.api_url, server.rtsp_url)

        settings = MediaServerConfig(start_timeout_s=3, close_after_s=1)
        self.link = ServerLink(endpoints, breaker=CircuitBreaker(BreakerSettings()), clock=clock)
        progress = PublisherProgress(folder, clock=clock)
        plan = PathPlan(self._publisher, progress=progress, settings=settings)
        self.paths = CameraPaths(self.link, camera=self._camera, plan=plan, clock=clock)
        self.streams = StreamLeases(self.link, self.paths, progress=progress, settings=settings, clock=clock)
        self.files = RecordingStore(folder / "recordings")
        limits = RecordingsConfig(start_timeout_s=4, stall_s=3)
        self.recordings = RecordingManager(
            self.streams, self.paths, self.files, settings=limits, events=self.bus, clock=clock
        )

    def _camera(self, name: str) -> Camera:
        if name not in self.cameras:
            raise NotFound("There is no such camera.", resource="camera", id=name)
        return self.cameras[name]

    def _publisher(self, _media_input: MediaInput) -> Publisher | None:
        return Publisher(self.argv, "ffmpeg ...") if self.argv else None


def publisher_argv() -> tuple[str, ...]:
    """An FFmpeg that publishes a small test picture; the address is appended."""
    return (
        ffmpeg.locate(),
        *ffmpeg.QUIET,
        *("-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=15"),
        *(
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "7",
        ),
        *("-f", "rtsp", "-rtsp_transport", "tcp"),
    )


def camera(name: str, media_input: MediaInput | None = INPUT) -> Camera:
    detected = DetectedCamera(name, name, Fingerprint("test", name), media_input)
    return Camera(CameraId(name), CameraStatus.CONNECTED, 0.0, detected)


@asynccontextmanager
async def running_plane(
    server: MediaServerUnderTest, folder: Path, clock: Clock | None = None
) -> AsyncIterator[Plane]:
    """Run the parts for as long as the context is open; recordings end first, as in the agent."""
    plane = Plane(server, folder, clock)
    async with anyio.create_task_group() as tg:
        await tg.start(plane.link.run)
        await tg.start(plane.streams.run)
        with anyio.fail_after(5):
            while plane.link.current is None:
                await anyio.sleep(0.01)
        async with anyio.create_task_group() as recordings:
            await recordings.start(plane.recordings.run)
            yield plane
            recordings.cancel_scope.cancel()
        tg.cancel_scope.cancel()


async def next_state(events: Subscription, topic: str) -> RecordingEvent:
    """The payload of the next event of that topic."""
    with anyio.fail_after(20):
        while (event := await events.receive()).topic != topic:
            pass
    assert isinstance(event.payload, RecordingEvent)
    return event.payload

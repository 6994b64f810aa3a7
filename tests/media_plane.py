"""Streams and recordings over a media server, without an agent around them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from agent_core.app.foundation import Foundation
from agent_core.app.reload import Reloads
from agent_core.app.wiring_media import build_media
from agent_core.base.clock import Clock, SystemClock
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
from agent_core.cameras import CameraRegistry
from agent_core.cameras.ledger import Ledger
from agent_core.config import AgentConfig
from agent_core.plugin import Plugin, Publisher, Settings, ffmpeg, hookimpl
from agent_core.plugin_host.manager import PluginManager
from agent_core.plugin_host.supervisor import Supervisor
from agent_core.recordings.models import RecordingEvent
from agent_core.streams.lent import LentStreams
from agent_core.testing.mediamtx import MediaServerUnderTest

INPUT = FfmpegInput(("-re", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=15"))


class Plane:
    """Parts of streams and recordings, by the application's own builder, with two cameras.

    Attributes:
        cameras: registry; a test may disconnect a camera, whose source is "test".
        argv: command of every publisher; a test may change it, and leave none with an empty one.
    """

    def __init__(
        self, server: MediaServerUnderTest, folder: Path, clock: Clock | None = None, **limits: Any
    ) -> None:
        self.server = server
        self.argv = publisher_argv()
        clock = clock or SystemClock()
        self.bus = EventBus(clock)
        config = _config(server, folder, limits)
        self.cameras = CameraRegistry(Ledger(folder / "cameras.json"), events=self.bus, clock=clock)
        for name in ("camera0", "camera1"):
            self.connect(name)
        parts = build_media(
            Foundation(config, self.bus, clock, reloads=Reloads.fixed(config)),
            cameras=self.cameras,
            plugins=self._plugins(config),
            supervisor=Supervisor((), clock=clock),
            states=lambda: (),
        )
        self.link, self.paths, self.streams = parts.link, parts.paths, parts.streams
        self.files, self.recordings, self.keeper = parts.files, parts.recordings, parts.keeper
        self.lent = LentStreams()
        self.lent.open(parts.lender)

    def connect(self, name: str, media_input: MediaInput | None = INPUT) -> None:
        """Report a camera as its source does."""
        self.cameras.connected("test", camera(name, media_input).detected)

    def disconnect(self, name: str) -> None:
        """Report that a camera is gone."""
        self.cameras.disconnected("test", name, "It was unplugged.")

    def _plugins(self, config: AgentConfig) -> PluginManager:
        plane = self

        class Publishing(Plugin[Settings]):
            Settings = Settings

            @hookimpl
            def agent_publisher(self, media_input: MediaInput) -> Publisher | None:
                return Publisher(plane.argv, "ffmpeg ...") if plane.argv else None

        plugins = PluginManager()
        plugins.load(config.plugins, lambda _name: [Publishing])
        return plugins


def _config(server: MediaServerUnderTest, folder: Path, limits: Mapping[str, Any]) -> AgentConfig:
    return AgentConfig.model_validate(
        {
            "storage": {
                "state_dir": folder,
                "runtime_dir": folder,
                "recordings_dir": folder / "recordings",
            },
            "plugins": {"enabled": ["publishing"]},
            "media_server": {
                "mode": "external",
                "api_url": server.api_url,
                "rtsp_url": server.rtsp_url,
                "start_timeout_s": 3,
                "close_after_s": 1,
            },
            "recordings": {"start_timeout_s": 4, "stall_s": 3, **limits},
        }
    )


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
    detected = DetectedCamera(
        name, name, Fingerprint("test", name), media_input, configured_id=CameraId(name)
    )
    return Camera(CameraId(name), CameraStatus.CONNECTED, 0.0, detected)


@asynccontextmanager
async def running_plane(
    server: MediaServerUnderTest, folder: Path, clock: Clock | None = None, **limits: Any
) -> AsyncIterator[Plane]:
    """Run the parts for as long as the context is open; recordings end first, as in the agent.

    `limits` are settings of recordings.
    """
    plane = Plane(server, folder, clock, **limits)
    async with anyio.create_task_group() as tg:
        await tg.start(plane.link.run)
        await tg.start(plane.streams.run)
        with anyio.fail_after(20):
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

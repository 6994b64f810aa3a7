"""Media server, agent, tiers and streams for `bench.tiers`, all in one run."""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast
from urllib.parse import urlsplit

import anyio

from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.plugin import AgentContext, Camera, ffmpeg
from agent_core.plugin.processes import child
from agent_core.plugin.rtsp import Credentials
from agent_core.streams.lent import PluginStreams
from agent_core.testing import RunningAgent, SystemClock, children, running_agent
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, running_mediamtx
from bench.media import running_embedded
from rtsp_tier.component import RtspTierComponent
from rtsp_tier.decoder import VideoSource
from rtsp_tier.settings import RtspTierSettings
from tests.embedded_program import CREDENTIALS

FPS = 25
PLUGINS = {
    "enabled": ["virtual_camera", "ffmpeg_tier"],
    "virtual_camera": {
        "cameras": [{"name": "Bench", "id": "camera0", "width": 1280, "height": 720, "fps": FPS}]
    },
}
#: FFmpeg's fastest way to a picture of a stream.
BEST = ("-rtsp_transport", "tcp", "-analyzeduration", "0", "-probesize", "32", "-fpsprobesize", "0")


@dataclass(frozen=True, slots=True)
class Rig:
    """Agent with one camera of 1280x720 at a media server, and tiers beside it that keep neither readers nor streams."""

    server: MediaServerUnderTest
    credentials: Credentials | None
    agent: RunningAgent
    api: MediaServerClient
    tiers: RtspTierComponent

    @property
    def camera(self) -> Camera:
        return self.agent.parts.cameras.get("camera0")

    def stream(self, name: str) -> VideoSource:
        return VideoSource(f"{self.server.rtsp_url}/{name}", self.credentials)

    def ffmpeg_argv(self, name: str, *output: str, options: tuple[str, ...] = BEST) -> list[str]:
        """Return an FFmpeg command that reads the stream; the password is one of this benchmark only."""
        own = f"{self.credentials.user}:{self.credentials.password}@" if self.credentials else ""
        url = f"rtsp://{own}{urlsplit(self.server.rtsp_url).netloc}/{name}"
        return [ffmpeg.locate(), *ffmpeg.QUIET, *options, "-i", url, *output]

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[RtspTierComponent]:
        """Run tiers that keep readers, until the context is left."""
        kept = component(self.agent, resident_within_s=600, resident_ttl_s=600, keep_warm_s=600)
        async with anyio.create_task_group() as tasks:
            await tasks.start(kept.run)
            yield kept
            tasks.cancel_scope.cancel()

    async def wait_live(self, name: str, *, live: bool = True) -> None:
        with anyio.fail_after(60):
            while ((path := await self.api.path(name)) is not None and path.live) is not live:
                await anyio.sleep(0.002)


@asynccontextmanager
async def server_of(
    kind: str, folder: Path
) -> AsyncIterator[tuple[MediaServerUnderTest, Credentials | None]]:
    """Run the media server in a process of its own: `embedded` or `mediamtx`."""
    if kind == "mediamtx":
        program = find_mediamtx()
        if program is None:
            raise SystemExit("MediaMTX not found")
        async with running_mediamtx(program, folder) as server:
            yield server, None
        return
    async with running_embedded(folder / "embedded") as server:
        yield server, CREDENTIALS


def component(agent: RunningAgent, **settings: float) -> RtspTierComponent:
    """Return the plugin's parts beside the agent, with the agent's streams."""
    parts = agent.parts
    lent = PluginStreams("bench", lambda: parts.media.lender)
    context = SimpleNamespace(clock=SystemClock(), streams=lent, cameras=parts.cameras)
    return RtspTierComponent.assemble(
        cast("AgentContext", context), RtspTierSettings.model_validate(settings)
    )


@asynccontextmanager
async def running_rig(kind: str, folder: Path) -> AsyncIterator[Rig]:
    async with server_of(kind, folder) as (server, credentials):
        media = {
            "mode": "external",
            "api_url": server.api_url,
            "rtsp_url": server.rtsp_url,
            "close_after_s": 0.1,
        }
        config = {"plugins": PLUGINS, "media_server": media}
        async with (
            running_agent(config=config) as agent,
            MediaServerClient(server.api_url) as api,
            anyio.create_task_group() as tasks,
        ):
            while agent.parts.media.link.current is None:
                await anyio.sleep(0.01)
            tiers = component(agent, resident_readers=0, keep_warm_s=0)
            await tasks.start(tiers.run)
            yield Rig(server, credentials, agent, api, tiers)
            tasks.cancel_scope.cancel()


async def encoded(folder: Path, codec: str, group: int, noise: int) -> Path:
    """Encode a test picture of 1280x720 before the measurement, so that no encoder competes with it."""
    file = folder / f"{codec}-{group}-{noise}.mkv"
    if file.exists():
        return file
    encoder = {
        # As cameras do, with an entropy coding and a filter that the fastest preset leaves out.
        "h264": (
            "libx264",
            *("-preset", "veryfast", "-g", str(group), "-keyint_min", str(group)),
            *("-sc_threshold", "0", "-bf", "0"),
        ),
        "h265": (
            "libx265",
            *("-preset", "ultrafast"),
            "-x265-params",
            f"keyint={group}:min-keyint={group}:scenecut=0:bframes=0:open-gop=0:log-level=none",
        ),
    }[codec]
    source = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={FPS},noise=alls={noise}:allf=t")
    words = [ffmpeg.locate(), *ffmpeg.QUIET, *source, "-frames:v", str(max(group * 4, 100)), "-c:v", *encoder]
    await anyio.run_process([*words, "-pix_fmt", "yuv420p", str(file)], stderr=None)
    return file


@asynccontextmanager
async def published(rig: Rig, name: str, codec: str, group: int, *, noise: int = 0) -> AsyncIterator[None]:
    """Publish a test picture of 1280x720 with `group` pictures per key frame, in a loop.

    With `noise` (up to 100) it is as hard to decode as the picture of a real camera.
    """
    file = await encoded(rig.server.folder, codec, group, noise)
    await rig.api.add_path(name, PathConf(source="publisher"))
    words = [ffmpeg.locate(), *ffmpeg.QUIET, "-re", "-stream_loop", "-1", "-i", str(file), "-c", "copy"]
    words += ["-f", "rtsp", "-rtsp_transport", "tcp", f"{rig.server.rtsp_url}/{name}"]
    async with child(words, stderr=subprocess.DEVNULL):
        await rig.wait_live(name)
        yield
    await rig.api.delete_path(name)


def worker_of(command: str = "rtsp_tier.worker") -> list[int]:
    """Return the decoding processes of this benchmark."""
    return [pid for pid in children() if command in Path(f"/proc/{pid}/cmdline").read_text()]


def rss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024

"""An agent and a report of three lines each, and both kinds of FFmpeg."""

import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import imageio_ffmpeg
import pytest

from agent_core.plugin import Camera, Clock, DetectedCamera
from agent_core.testing import SystemClock
from virtual_camera.plugin import VirtualCameraPlugin
from virtual_camera.settings import VirtualCameraSettings
from virtual_camera.source import VirtualCameraSource


class Directory:
    def __init__(self) -> None:
        self.cameras: list[Camera] = []

    def list(self) -> Sequence[Camera]:
        return self.cameras


class Events:
    def publish(self, topic: str, payload: object) -> None:
        raise AssertionError(topic)


@dataclass
class Agent:
    runtime_dir: Path
    ffmpeg: str | None = None
    clock: Clock = field(default_factory=SystemClock)
    cameras: Directory = field(default_factory=Directory)
    events: Events = field(default_factory=Events)

    @property
    def state_dir(self) -> Path:
        return self.runtime_dir

    @property
    def recordings_dir(self) -> Path:
        return self.runtime_dir


class Report:
    """Keeps what was reported, in order, and the cameras that are connected."""

    def __init__(self) -> None:
        self.history: list[tuple[str, str]] = []
        self.cameras: dict[str, DetectedCamera] = {}
        self._changed = anyio.Event()

    def connected(self, camera: DetectedCamera) -> None:
        self.cameras[camera.key] = camera
        self._note("connected", camera.key)

    def disconnected(self, key: str, reason: str) -> None:
        assert reason
        del self.cameras[key]
        self._note("disconnected", key)

    def failed(self, key: str, reason: str, camera: DetectedCamera | None = None) -> None:
        self._note("failed", key)

    def _note(self, what: str, key: str) -> None:
        self.history.append((what, key))
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, count: int) -> None:
        """Wait for as many reports in all."""
        while len(self.history) < count:
            await self._changed.wait()


@dataclass
class Watched:
    """A source that is being watched."""

    plugin: VirtualCameraPlugin
    source: VirtualCameraSource
    agent: Agent
    report: Report


Watch = Callable[..., AbstractAsyncContextManager[Watched]]


@pytest.fixture(params=["path", "wheel"])
def program(request: pytest.FixtureRequest) -> str:
    """Each test with it runs on the FFmpeg of PATH and on the wheel's, which is far newer."""
    found = shutil.which("ffmpeg") if request.param == "path" else imageio_ffmpeg.get_ffmpeg_exe()
    if not found:
        pytest.skip("there is no FFmpeg on PATH")
    return str(found)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


@pytest.fixture
def report() -> Report:
    return Report()


@pytest.fixture
def watch(agent: Agent, report: Report) -> Watch:
    """`async with watch(settings)`: the plugin's source, watched for as long as the context is open."""

    @asynccontextmanager
    async def run(**settings: object) -> AsyncIterator[Watched]:
        plugin = VirtualCameraPlugin(VirtualCameraSettings.model_validate(settings))
        (source,) = plugin.agent_camera_sources(agent)
        assert isinstance(source, VirtualCameraSource)
        with anyio.fail_after(50):
            async with anyio.create_task_group() as tg:
                await tg.start(source.watch, report)
                yield Watched(plugin, source, agent, report)
                tg.cancel_scope.cancel()

    return run

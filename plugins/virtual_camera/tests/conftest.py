"""Fixtures: a watched source with the kit's agent and report, and both kinds of FFmpeg."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import imageio_ffmpeg
import pytest

from agent_core.testing import FakeAgent, RecordingReport
from virtual_camera.plugin import VirtualCameraPlugin
from virtual_camera.settings import VirtualCameraSettings
from virtual_camera.source import VirtualCameraSource


@dataclass
class Watched:
    """Source that is being watched."""

    plugin: VirtualCameraPlugin
    source: VirtualCameraSource
    agent: FakeAgent
    report: RecordingReport


Watch = Callable[..., AbstractAsyncContextManager[Watched]]


@pytest.fixture(params=["path", "wheel"])
def program(request: pytest.FixtureRequest) -> str:
    """Run each test that uses this with the FFmpeg on PATH and with that of the wheel, which is far newer."""
    found = shutil.which("ffmpeg") if request.param == "path" else imageio_ffmpeg.get_ffmpeg_exe()
    if not found:
        pytest.skip("there is no FFmpeg on PATH")
    return str(found)


@pytest.fixture
def agent(tmp_path: Path) -> FakeAgent:
    return FakeAgent(tmp_path)


@pytest.fixture
def report() -> RecordingReport:
    return RecordingReport()


@pytest.fixture
def watch(agent: FakeAgent, report: RecordingReport) -> Watch:
    """Return `watch(settings)`, a context in which the plugin's source is watched."""

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
        assert agent.events.published == []

    return run

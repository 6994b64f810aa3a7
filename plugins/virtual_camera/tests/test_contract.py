"""Contract of camera sources, applied to this source."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest

from agent_core.plugin import CameraSource, VideoCodec
from agent_core.testing import (
    CameraSourceContract,
    ControlPanelContract,
    FakeAgent,
    PanelUnderTest,
    RecordingReport,
)
from virtual_camera.plugin import VirtualCameraPlugin
from virtual_camera.settings import CameraSettings, VirtualCameraSettings


class TestVirtualCameraSource(CameraSourceContract):
    @pytest.fixture(autouse=True)
    def folder(self) -> Iterator[None]:
        with TemporaryDirectory(prefix="ca-") as folder:
            self._folder = Path(folder)
            yield

    def make_source(self) -> CameraSource:
        settings = VirtualCameraSettings(
            cameras=(
                CameraSettings(name="Front"),
                CameraSettings(name="Back", width=320, height=240),
                CameraSettings(name="Side", codec=VideoCodec.H264),
            )
        )
        (source,) = VirtualCameraPlugin(settings).agent_camera_sources(FakeAgent(self._folder))
        return source


class TestVirtualCameraPanel(ControlPanelContract):
    number = "brightness"
    switch = ("auto_exposure", "Manual Mode", "exposure_time_absolute")

    @asynccontextmanager
    async def make_panel(self) -> AsyncIterator[PanelUnderTest]:
        with TemporaryDirectory(prefix="ca-") as folder:
            settings = VirtualCameraSettings(cameras=(CameraSettings(name="Front"),))
            (source,) = VirtualCameraPlugin(settings).agent_camera_sources(FakeAgent(Path(folder)))
            report = RecordingReport()
            async with anyio.create_task_group() as tg:
                await tg.start(source.watch, report)
                panel = report.cameras["front"].panel
                assert panel is not None
                yield PanelUnderTest(panel, report, "front")
                tg.cancel_scope.cancel()

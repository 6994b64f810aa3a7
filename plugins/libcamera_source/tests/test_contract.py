"""Contract of camera sources, held on a machine without programs and with scripted ones."""

from pathlib import Path

import pytest

from agent_core.plugin import CameraSource
from agent_core.testing import CameraSourceContract, FakeAgent
from libcamera_source import LibcameraSourcePlugin
from libcamera_source.settings import LibcameraSettings
from libcamera_source.source import LibcameraSource
from plugins.libcamera_source.tests.conftest import Programs


class TestLibcameraSource(CameraSourceContract):
    """As this machine is."""

    @pytest.fixture(autouse=True)
    def place(self, folder: Path) -> None:
        self._folder = folder

    def make_source(self) -> CameraSource:
        (source,) = LibcameraSourcePlugin(LibcameraSettings()).agent_camera_sources(FakeAgent(self._folder))
        return source


class TestWithTwoCameras(CameraSourceContract):
    @pytest.fixture(autouse=True)
    def place(self, folder: Path, programs: Programs) -> None:
        self._folder, self._programs = folder, programs
        programs.list_cameras("1: 'imx219' (/base/i2c@1/imx219@10)", "2: 'imx219' (/base/i2c@2/imx219@10)")
        programs.capture_pictures()

    def make_source(self) -> CameraSource:
        return LibcameraSource(LibcameraSettings(), FakeAgent(self._folder), search_path=self._programs.path)

    async def test_both_are_found(self) -> None:
        assert len((await self.watch_once()).cameras) == 2

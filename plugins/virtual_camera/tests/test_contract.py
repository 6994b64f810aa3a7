"""Contract of camera sources, applied to this source."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent_core.plugin import CameraSource
from agent_core.testing import CameraSourceContract, FakeAgent
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
            cameras=(CameraSettings(name="Front"), CameraSettings(name="Back", width=320, height=240))
        )
        (source,) = VirtualCameraPlugin(settings).agent_camera_sources(FakeAgent(self._folder))
        return source

"""The source keeps what every source promises."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent_core.plugin import CameraDirectory, CameraSource, Clock, EventPublisher
from agent_core.testing import CameraSourceContract, SystemClock
from virtual_camera.plugin import VirtualCameraPlugin
from virtual_camera.settings import CameraSettings, VirtualCameraSettings


class Nothing:
    def list(self) -> list[object]:
        return []

    def publish(self, topic: str, payload: object) -> None:
        return


@dataclass
class Agent:
    runtime_dir: Path
    state_dir: Path
    clock: Clock
    cameras: CameraDirectory
    events: EventPublisher
    ffmpeg: str | None = None

    @property
    def recordings_dir(self) -> Path:
        return self.state_dir


class TestVirtualCameraSource(CameraSourceContract):
    @pytest.fixture(autouse=True)
    def folder(self) -> Iterator[None]:
        with TemporaryDirectory(prefix="ca-") as folder:
            self._folder = Path(folder)
            yield

    def make_source(self) -> CameraSource:
        nothing = Nothing()
        agent = Agent(self._folder, self._folder, SystemClock(), nothing, nothing)  # type: ignore[arg-type]
        settings = VirtualCameraSettings(
            cameras=(CameraSettings(name="Front"), CameraSettings(name="Back", width=320, height=240))
        )
        (source,) = VirtualCameraPlugin(settings).agent_camera_sources(agent)
        return source

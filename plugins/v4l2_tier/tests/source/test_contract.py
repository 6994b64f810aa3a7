"""Contract of camera sources, held even on a machine without V4L2 or udev."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent_core.plugin import CameraSource
from agent_core.testing import CameraSourceContract, FakeAgent
from v4l2_tier import V4l2TierPlugin
from v4l2_tier.settings import V4l2TierSettings


class TestV4l2Source(CameraSourceContract):
    @pytest.fixture(autouse=True)
    def folder(self) -> Iterator[None]:
        with TemporaryDirectory(prefix="ca-") as folder:
            self._folder = Path(folder)
            yield

    def make_source(self) -> CameraSource:
        (source,) = V4l2TierPlugin(V4l2TierSettings()).agent_camera_sources(FakeAgent(self._folder))
        return source

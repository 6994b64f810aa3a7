"""Streams lent to plugins, of each media server, and the stand-in that plugins are tested with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent_core.plugin import CameraStreams
from agent_core.testing import CameraStreamsContract, FakeStreams, SystemClock
from agent_core.testing.mediamtx import MediaServerUnderTest
from tests.media_plane import running_plane


class TestFakeStreams(CameraStreamsContract):
    @asynccontextmanager
    async def lent(self) -> AsyncIterator[CameraStreams]:
        streams = FakeStreams(SystemClock())
        streams.serve(self.camera, "rtsp://127.0.0.1:8554/camera0")
        yield streams


class TestStreamsOfAServer(CameraStreamsContract):
    @pytest.fixture(autouse=True)
    def _set_up(self, media_server: MediaServerUnderTest, tmp_path: Path) -> None:
        self._server, self._folder = media_server, tmp_path

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[CameraStreams]:
        async with running_plane(self._server, self._folder) as plane:
            yield plane.lent.to("test")

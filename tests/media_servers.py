"""The media servers that tests of streams and recordings run on."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_core.mediamtx.client import MediaServerClient
from agent_core.testing.mediamtx import MediaServerUnderTest, find_mediamtx, running_mediamtx


@pytest.fixture(params=[pytest.param("mediamtx", marks=pytest.mark.real_mediamtx)])
async def media_server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MediaServerUnderTest]:
    """A media server of each kind that there is; its own folder, no paths, no `all_others`."""
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    folder = tmp_path / "media_server"
    folder.mkdir()
    async with running_mediamtx(program, folder) as server:
        yield server


@pytest.fixture
async def media_client(media_server: MediaServerUnderTest) -> AsyncIterator[MediaServerClient]:
    async with MediaServerClient(media_server.api_url) as client:
        yield client

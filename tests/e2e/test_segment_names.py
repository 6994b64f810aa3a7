"""Names of segments: a server in any time zone tells the time of the first picture."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from agent_core.testing.mediamtx import find_mediamtx, running_mediamtx

from .conftest import AgentProcessFactory
from .media import EMBEDDED_CONFIG, connected

ZONE = "Asia/Tokyo"
WITHOUT_SERVER = EMBEDDED_CONFIG.replace(', "embedded_server"', "")


@asynccontextmanager
async def configured(kind: str, folder: Path) -> AsyncIterator[str]:
    """A configuration with a media server of that mode; it and the agent are in Tokyo."""
    program = find_mediamtx()
    if kind == "embedded":
        yield EMBEDDED_CONFIG
    elif program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    elif kind == "managed":
        settings = f'mode = "managed"\nprogram = "{program}"\napi_port = 0\nrtsp_port = 0\nprotocols = []\n'
        yield f"[media_server]\n{settings}{WITHOUT_SERVER}"
    else:
        folder.mkdir()
        async with running_mediamtx(program, folder, time_zone=ZONE) as server:
            settings = f'mode = "external"\napi_url = "{server.api_url}"\nrtsp_url = "{server.rtsp_url}"\n'
            yield f"[media_server]\n{settings}{WITHOUT_SERVER}"


@pytest.mark.parametrize("kind", ["embedded", "managed", "external"])
async def test_a_name_tells_the_time_of_the_first_picture(
    kind: str, tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    began = datetime.now(UTC)
    async with (
        configured(kind, tmp_path / "media_server") as config,
        agent_process(config, environment={"TZ": ZONE}) as agent,
        agent.client() as client,
    ):
        with anyio.fail_after(60):
            await connected(client)
            started = await client.call("start_recording", device="camera0", wait=True)
            stopped = await client.call("stop_recording", device="camera0")
        (segment,) = stopped["segments"]
        name = f"{started['filename']}/{segment['filename']}"
        content = await client.download(name, kind="recordings")
    named = datetime.strptime(segment["filename"], "%Y-%m-%d_%H-%M-%S-%f%z.mp4")
    assert began - timedelta(seconds=1) < named < datetime.now(UTC)
    if kind != "external":
        assert segment["filename"].endswith("Z.mp4")
    elif Path("/usr/share/zoneinfo", ZONE).exists():
        assert segment["filename"].endswith("+0900.mp4")
    assert b"moof" in content

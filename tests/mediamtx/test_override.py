"""A publisher that cannot be replaced while it lives, as on the managed server, and the successor of a killed one."""

import signal
from pathlib import Path

import pytest

from agent_core.base.processes import child
from agent_core.mediamtx.client import MediaServerClient
from agent_core.mediamtx.schema import PathConf
from agent_core.testing.mediamtx import find_mediamtx, publisher_command, running_mediamtx
from agent_core.testing.waiting import eventually


@pytest.mark.real_mediamtx
async def test_a_killed_publisher_makes_room_and_a_living_one_does_not(tmp_path: Path) -> None:
    program = find_mediamtx()
    if program is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    settings = {"pathDefaults": {"recordDeleteAfter": "0s", "overridePublisher": False}}
    async with (
        running_mediamtx(program, tmp_path, settings=settings) as server,
        MediaServerClient(server.api_url) as client,
    ):
        await client.add_path("camera0", PathConf(source="publisher"))
        port = server.rtsp_url.rpartition(":")[2]
        argv = publisher_command().replace("$RTSP_PORT", port).replace("$MTX_PATH", "camera0").split()

        async def source() -> str:
            path = await client.path("camera0")
            return path.source.id if path and path.live and path.source else ""

        async def is_live() -> bool:
            return bool(await source())

        async with child(argv) as first:
            await eventually(is_live, timeout_s=30)
            session = await source()
            async with child(argv) as second:
                assert await second.wait() != 0
            assert await source() == session
            first.send_signal(signal.SIGKILL)
            await first.wait()

        async def is_free() -> bool:
            return not await is_live()

        await eventually(is_free, timeout_s=30)
        async with child(argv):
            await eventually(is_live, timeout_s=30)
            assert await source() != session

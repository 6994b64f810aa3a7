"""A player with a fixed address gets a picture without a call before, after restarts of agent and server too."""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent_core.base.errors import FfmpegFailed
from agent_core.plugin import ffmpeg
from agent_core.testing.mediamtx import find_mediamtx, free_ports
from tests.media_servers import running_server

from .conftest import AgentProcess, AgentProcessFactory
from .media import EMBEDDED_CONFIG
from .server_rigs import MANAGED, server_of

#: Five seconds on an idle machine.
LIMIT_S = 60
PLAYER_TIMEOUT_S = 15


@dataclass(frozen=True)
class World:
    """Configuration of an agent, the address of its stream, and what restarts its media server without it."""

    config: str
    url: str
    restart: Callable[[AgentProcess], Awaitable[None]] | None = None


async def kill_managed(agent: AgentProcess) -> None:
    os.kill(server_of(agent), signal.SIGKILL)


@asynccontextmanager
async def embedded(_folder: Path) -> AsyncIterator[World]:
    api, rtsp = free_ports()
    config = EMBEDDED_CONFIG.replace("api_port = 0", f"api_port = {api}")
    yield World(
        config.replace("rtsp_port = 0", f"rtsp_port = {rtsp}"),
        f"rtsp://127.0.0.1:{rtsp}/camera0",
    )


@asynccontextmanager
async def managed(_folder: Path) -> AsyncIterator[World]:
    _, rtsp = free_ports()
    config = MANAGED.format(program=find_mediamtx(), media_server="").replace(
        "rtsp_port = 0", f"rtsp_port = {rtsp}"
    )
    yield World(config, f"rtsp://127.0.0.1:{rtsp}/camera0", kill_managed)


@asynccontextmanager
async def external(folder: Path) -> AsyncIterator[World]:
    api, rtsp = free_ports()
    async with AsyncExitStack() as servers:

        async def restart(_agent: AgentProcess | None = None) -> None:
            await servers.aclose()
            await servers.enter_async_context(running_server("mediamtx", folder, ports=(api, rtsp)))

        await restart()
        section = f'api_url = "http://127.0.0.1:{api}"\nrtsp_url = "rtsp://127.0.0.1:{rtsp}"\n'
        config = EMBEDDED_CONFIG.replace(', "embedded_server"', "")
        yield World(
            f'[media_server]\nmode = "external"\n{section}{config}',
            f"rtsp://127.0.0.1:{rtsp}/camera0",
            restart,
        )


KINDS = {"embedded": embedded, "managed": managed, "external": external}


async def plays(url: str) -> None:
    """Open the address as a player does that tries again until it gets a picture.

    MediaMTX never answers a client that asks in the moment in which it closes the path of a publisher that has died.
    """
    words = ["-rtsp_transport", "tcp", "-i", url, "-frames:v", "1", "-f", "framecrc", "-"]
    with anyio.fail_after(LIMIT_S):
        while True:
            with anyio.move_on_after(PLAYER_TIMEOUT_S), suppress(FfmpegFailed):
                assert b"\n0," in await ffmpeg.run(ffmpeg.locate(), words)
                return
            await anyio.sleep(0.2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kind",
    ["embedded", *(pytest.param(kind, marks=pytest.mark.real_mediamtx) for kind in ("managed", "external"))],
)
async def test_a_fixed_address_plays_without_a_call(
    kind: str, agent_process: AgentProcessFactory, tmp_path: Path
) -> None:
    if kind != "embedded" and find_mediamtx() is None:
        pytest.skip("no MediaMTX here: set MEDIAMTX_BIN or put mediamtx on PATH")
    async with KINDS[kind](tmp_path / "media_server") as world:
        async with agent_process(world.config) as agent:
            await plays(world.url)
            assert await agent.end() == 0
        async with agent_process(world.config) as agent:
            await plays(world.url)
            if world.restart is not None:
                await world.restart(agent)
                await plays(world.url)
            assert await agent.end() == 0

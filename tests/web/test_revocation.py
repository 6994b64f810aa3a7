"""Connections and downloads over real sockets end when their credentials are revoked, and others go on."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.abc
import httpx
import pytest
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

from agent_core.auth.links import Link
from agent_core.auth.revocations import RevokedTokens
from agent_core.auth.roles import Role
from agent_core.base.metrics import Collected
from agent_core.media.downloads import DirectoryFiles, Downloads
from agent_core.web.routes import web_app
from tests.toy_server import Serve, Toy, call, close_code, no_metrics, url

#: Would take for ever to download.
ENDLESS_BYTES = 1 << 40


@pytest.fixture
def files(toy: Toy, tmp_path: Path) -> ASGIApp:
    """The routes over one snapshot, which has no end."""
    root = tmp_path / "snapshots"
    root.mkdir()
    with (root / "a.jpg").open("wb") as file:
        file.truncate(ENDLESS_BYTES)
    return web_app(
        ready=lambda: True,
        metrics=no_metrics,
        gate=toy.auth,
        links=toy.links,
        live=toy.live,
        open_download=Downloads({"snapshots": DirectoryFiles(root)}).open,
    )


@pytest.fixture
def keys(toy: Toy) -> dict[str, str]:
    return {user: toy.keys.create(user, Role.VIEWER) for user in ("robot", "other")}


@asynccontextmanager
async def socket_of(address: str, credentials: str) -> AsyncIterator[ClientConnection]:
    async with connect(address) as client:
        assert "result" in await call(client, "authenticate", auth_token=credentials)
        yield client


async def test_the_connections_of_a_revoked_key_are_closed_with_a_reason(
    serve: Serve, toy: Toy, keys: dict[str, str]
) -> None:
    async with (
        serve() as server,
        socket_of(url(server), keys["robot"]) as robot,
        socket_of(url(server), keys["other"]) as other,
    ):
        toy.keys.revoke("robot")
        await toy.files.look()
        assert await close_code(robot) == 1008
        assert robot.close_reason is not None
        assert "revoked" in robot.close_reason
        assert (await call(other, "echo", text="x"))["result"]["text"] == "x"
        assert len(toy.sessions) == len(toy.live) == 1


async def test_a_client_that_does_not_read_is_dropped_too(
    serve: Serve, toy: Toy, keys: dict[str, str]
) -> None:
    async with serve() as server, socket_of(url(server), keys["robot"]) as robot:
        robot.transport.pause_reading()
        for number in range(8):
            params = '{"text": "x", "times": 1000000}'
            await robot.send(f'{{"jsonrpc":"2.0","id":{number},"method":"echo","params":{params}}}')
        await anyio.wait_all_tasks_blocked()
        toy.keys.revoke("robot")
        await toy.files.look()
        with anyio.fail_after(20):
            while len(toy.sessions):
                await anyio.sleep(0.01)


async def read_to_the_end(client: anyio.abc.SocketStream) -> None:
    while True:
        await client.receive()


async def receive_until_cut(response: httpx.Response, begun: anyio.Event) -> None:
    async def read() -> None:
        async for _ in response.aiter_raw():
            begun.set()

    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await read()


@pytest.mark.parametrize("by", ["key", "link", "link of a deleted secret", "link alone"])
async def test_a_running_download_is_cut(
    serve: Serve, toy: Toy, keys: dict[str, str], files: ASGIApp, by: str
) -> None:
    headers, path = {"X-API-Key": keys["robot"]}, "/files/snapshots/a.jpg"
    if by != "key":
        headers, path = {}, toy.links.of(toy.keys.verify(keys["robot"]))("snapshots", "a.jpg")
    begun = anyio.Event()
    async with (
        serve(http=files) as server,
        httpx.AsyncClient(base_url=url(server, "", "http"), timeout=20) as http,
        http.stream("GET", path, headers=headers) as response,
        http.stream("GET", "/files/snapshots/a.jpg", headers={"X-API-Key": keys["other"]}) as other,
    ):
        assert (response.status_code, other.status_code) == (200, 200)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(receive_until_cut, response, begun)
            with anyio.fail_after(20):
                await begun.wait()
            if by == "link of a deleted secret":
                (toy.state_dir / "secret").unlink()
            elif by == "link alone":
                file = toy.state_dir / "revoked-tokens.json"
                RevokedTokens(file, toy.clock).revoke(Link.parse(path).id)
            else:
                toy.keys.revoke("robot")
            await toy.files.look()
        chunks = other.aiter_raw()
        for _ in range(20):
            assert await anext(chunks)
        assert (await http.get(path, headers=headers)).status_code == 401
        assert len(toy.live) == 1


async def test_a_scrape_that_waits_is_cut(serve: Serve, toy: Toy) -> None:
    """As in a queue of scrapers, or for the first sample of the host's load."""
    waits, goes_on = anyio.Event(), anyio.Event()

    async def metrics() -> Sequence[Collected]:
        waits.set()
        await goes_on.wait()
        return ()

    key = toy.keys.create("prometheus", Role.ADMIN)
    routes = web_app(
        ready=lambda: True,
        metrics=metrics,
        gate=toy.auth,
        links=toy.links,
        live=toy.live,
        open_download=Downloads({}).open,
    )
    async with serve(http=routes) as server, await anyio.connect_tcp("127.0.0.1", server.port) as client:
        await client.send(f"GET /metrics HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n".encode())
        with anyio.fail_after(20):
            await waits.wait()
            toy.keys.revoke("prometheus")
            await toy.files.look()
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await client.receive()
        goes_on.set()


async def test_a_download_that_the_client_does_not_read_is_cut(
    serve: Serve, toy: Toy, keys: dict[str, str], files: ASGIApp
) -> None:
    async with serve(http=files) as server, await anyio.connect_tcp("127.0.0.1", server.port) as client:
        await client.send(
            f"GET /files/snapshots/a.jpg HTTP/1.1\r\nHost: a\r\nX-API-Key: {keys['robot']}\r\n\r\n".encode()
        )
        assert (await client.receive()).startswith(b"HTTP/1.1 200 ")
        toy.keys.revoke("robot")
        await toy.files.look()
        with anyio.fail_after(20):
            while len(toy.live):
                await anyio.sleep(0.01)
            with pytest.raises((anyio.BrokenResourceError, anyio.EndOfStream)):
                await read_to_the_end(client)

"""Clients while the disk of the state folder stalls: one that authenticates waits a second, and the others do not."""

import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from agent_core.auth.roles import Role
from agent_core.media.downloads import DirectoryFiles, Downloads
from agent_core.web.routes import web_app
from agent_core.web.server import RpcServer
from tests.toy_server import Serve, Toy, call, no_metrics, serve, until, url

__all__ = ("serve",)


class Disk:
    """Disk of the credentials that stalls on request."""

    def __init__(self) -> None:
        self.stalls = False
        self.goes_on = threading.Event()
        self.loop = threading.get_ident()
        self.looks = 0

    def require(self) -> None:
        """Stand for the look at a file that has vanished."""
        self.looks += 1
        if self.stalls:
            assert threading.get_ident() != self.loop, "the event loop waits for the disk"
            self.goes_on.wait(60)


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def toy(tmp_path: Path, disk: Disk) -> Toy:
    return Toy(tmp_path / "state", require_state=disk.require)


@pytest.fixture
async def server(toy: Toy, serve: Serve, tmp_path: Path, disk: Disk) -> AsyncIterator[RpcServer]:
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/a.jpg").write_bytes(b"picture")
    routes = web_app(
        ready=lambda: True,
        metrics=no_metrics,
        gate=toy.auth,
        links=toy.links,
        live=toy.live,
        open_download=Downloads({"snapshots": DirectoryFiles(tmp_path / "snapshots")}).open,
    )
    async with serve(http=routes) as server:
        yield server
        disk.goes_on.set()


@pytest.mark.parametrize("way", ["token", "link", "authenticate"])
async def test_only_who_authenticates_waits(server: RpcServer, toy: Toy, disk: Disk, way: str) -> None:
    token, answers = toy.token(Role.VIEWER), []
    link = toy.links.of(toy.tokens.verify(token))("snapshots", "a.jpg")
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=url(server, "", "http"), timeout=60) as http,
        connect(url(server)) as newcomer,
        connect(url(server)) as user,
        anyio.create_task_group() as tasks,
    ):
        toy.keys.create("robot", Role.VIEWER)
        await call(user, "authenticate", auth_token=token)

        async def enter() -> None:
            if way == "authenticate":
                answers.append("result" in await call(newcomer, "authenticate", auth_token=token))
            else:
                path, sent = (link, {}) if way == "link" else ("/files/snapshots/a.jpg", headers)
                answers.append((await http.get(path, headers=sent)).content == b"picture")

        (toy.state_dir / "api-keys.json").unlink()
        disk.stalls, looks = True, disk.looks
        tasks.start_soon(enter)
        await until(lambda: disk.looks > looks and 1.0 in toy.clock.sleeps)
        for _ in range(3):
            assert (await call(user, "echo", text="x"))["result"]["text"] == "x"
            assert (await http.get("/healthz")).status_code == 200
        assert answers == []
        await toy.clock.advance(1)
        await until(lambda: answers == [True])

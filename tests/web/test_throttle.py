"""Throttling of failed attempts by address, over real sockets."""

import socket
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp
from websockets.asyncio.client import connect, unix_connect

from agent_core.auth.roles import Role
from agent_core.base.errors import AuthenticationFailed
from agent_core.media.downloads import Downloads
from agent_core.web.peer import network_of
from agent_core.web.routes import web_app
from agent_core.web.server import RpcServer
from tests.toy_server import Serve, Toy, call, no_metrics, url

#: `auth.failures_per_minute` of the toy.
FAILURES = 10


@pytest.fixture
def routes(toy: Toy) -> ASGIApp:
    return web_app(
        ready=lambda: True,
        metrics=no_metrics,
        gate=toy.auth,
        links=toy.links,
        live=toy.live,
        open_download=Downloads({}).open,
    )


async def failed(server: RpcServer) -> str:
    """Fail on a connection of its own, and return the reason."""
    async with connect(url(server)) as client:
        reason: str = (await call(client, "authenticate", auth_token="wrong"))["error"]["data"]["reason"]
        return reason


async def test_reconnecting_does_not_bypass_it_nor_does_another_protocol(
    serve: Serve, toy: Toy, routes: ASGIApp
) -> None:
    async with (
        serve(http=routes) as server,
        httpx.AsyncClient(base_url=url(server, "", "http"), timeout=30) as http,
    ):
        for _ in range(FAILURES // 2):
            assert await failed(server) == "token_invalid"
            assert (await http.get("/metrics", headers={"X-API-Key": "wrong"})).status_code == 401
        assert await failed(server) == "too_many_failures"
        assert (await http.get("/metrics", headers={"X-API-Key": "wrong"})).status_code == 429
        good = {"Authorization": f"Bearer {toy.token(Role.ADMIN)}"}
        assert (await http.get("/metrics", headers=good)).status_code == 200


async def test_the_command_line_of_the_host_is_never_locked_out(
    serve: Serve, toy: Toy, routes: ASGIApp, tmp_path: Path
) -> None:
    path = tmp_path / "agent.sock"
    async with serve(http=routes, local=path) as server:
        while await failed(server) != "too_many_failures":
            pass
        async with unix_connect(str(path), "ws://localhost/ws") as local:
            wrong = await call(local, "authenticate", auth_token="wrong")
            assert wrong["error"]["data"]["reason"] == "token_invalid", "it has a throttle of its own"
            assert "result" in await call(local, "authenticate", auth_token=toy.token())
        while (await _fail_locally(path)) != "too_many_failures":
            pass
        async with unix_connect(str(path), "ws://localhost/ws") as local:
            assert "result" in await call(local, "authenticate", auth_token=toy.token())


async def _fail_locally(path: Path) -> str:
    async with unix_connect(str(path), "ws://localhost/ws") as local:
        reason: str = (await call(local, "authenticate", auth_token="wrong"))["error"]["data"]["reason"]
        return reason


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_the_addresses_of_one_network_of_a_host_count_as_one(address: str, network: str) -> None:
    assert network_of(address) == network


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


async def test_a_connection_counts_as_its_network(serve: Serve, toy: Toy, routes: ASGIApp) -> None:
    if not has_ipv6():
        pytest.skip("this host has no IPv6")
    async with serve(http=routes, host="::1") as server:
        for _ in range(FAILURES):
            with pytest.raises(AuthenticationFailed):
                await toy.auth.authenticate("wrong", network_of("::2"))
        async with connect(f"ws://[::1]:{server.port}/ws") as client:
            reason = (await call(client, "authenticate", auth_token="wrong"))["error"]["data"]["reason"]
        assert reason == "too_many_failures"

"""End to end, over real sockets on port 0."""

import asyncio
import json
import ssl
import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from agent_core.base.errors import StartFailed
from agent_core.config import ServerConfig
from agent_core.web.server import RpcServer
from tests.toy_server import Serve, Toy, call, close_code, hello, until, url


async def test_sockets_and_requests_share_a_port(serve: Serve) -> None:
    async with serve() as server, connect(url(server)) as client, httpx.AsyncClient(timeout=30) as http:
        assert (await call(client, "ping"))["result"] == "pong"
        response = await http.get(url(server, "/", "http"))
        assert (response.status_code, response.text) == (200, "hi")
        assert "date" in response.headers
        assert "server" not in response.headers


async def test_a_busy_port_is_a_start_failure(serve: Serve, toy: Toy) -> None:
    async with serve() as server:
        second = RpcServer(ServerConfig(port=server.port), toy.sessions, hello)
        with pytest.raises(StartFailed) as caught:
            await second.run()
        assert caught.value.reason == "port_in_use"
        with pytest.raises(RuntimeError):
            _ = second.port


async def test_at_the_end_every_socket_is_told_1012(serve: Serve, toy: Toy) -> None:
    async with AsyncExitStack() as stack:
        async with serve() as server:
            clients = [await stack.enter_async_context(connect(url(server))) for _ in range(50)]
            await call(clients[0], "authenticate", auth_token=toy.token())
            await clients[0].send('{"jsonrpc":"2.0","id":2,"method":"wait"}')
            await until(lambda: toy.doors.entered == 1)
            assert len(toy.sessions) == 50
            began_s = anyio.current_time()
        assert anyio.current_time() - began_s < 5
        assert [await close_code(client) for client in clients] == [1012] * 50
        assert toy.doors.cancelled == 1
        assert len(toy.sessions) == 0
        with pytest.raises(OSError, match=r"refused|failed"):
            await anyio.connect_tcp("127.0.0.1", server.port)


async def test_a_peer_that_does_not_read_holds_up_nobody_and_not_the_end(serve: Serve, toy: Toy) -> None:
    async with AsyncExitStack() as stack:
        async with serve() as server:
            deaf = await stack.enter_async_context(connect(url(server), max_queue=1))
            other = await stack.enter_async_context(connect(url(server)))
            await call(deaf, "authenticate", auth_token=toy.token())
            await call(other, "authenticate", auth_token=toy.token())
            deaf.transport.pause_reading()
            big = {"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {"text": "x" * 1000, "times": 1000}}
            for _ in range(20):
                await deaf.send(json.dumps(big))
            await until(lambda: any(session._running == 4 for session in toy.sessions._open))
            for _ in range(20):
                assert (await call(other, "echo", text="y"))["result"] == {"text": "y"}
            deaf_session = next(session for session in toy.sessions._open if session._running == 4)
            assert deaf_session._calls_seen < 21
            began_s = anyio.current_time()
        assert anyio.current_time() - began_s < 5
        assert await close_code(other) == 1012
        assert len(toy.sessions) == 0
        deaf.transport.resume_reading()
        assert await close_code(deaf) == 1006


async def test_a_closed_socket_cancels_its_calls(serve: Serve, toy: Toy) -> None:
    async with serve() as server:
        async with connect(url(server)) as client:
            await call(client, "authenticate", auth_token=toy.token())
            await client.send('{"jsonrpc":"2.0","id":2,"method":"wait"}')
            await until(lambda: toy.doors.entered == 1)
        await until(lambda: toy.doors.cancelled == 1)
        await until(lambda: len(toy.sessions) == 0)


async def test_concurrent_calls_come_back_out_of_order(serve: Serve, toy: Toy) -> None:
    async with serve() as server, connect(url(server)) as client:
        await call(client, "authenticate", auth_token=toy.token())
        await client.send('{"jsonrpc":"2.0","id":"slow","method":"wait"}')
        assert (await call(client, "ping"))["id"] == 1
        toy.doors.open.set()
        assert json.loads(await client.recv())["id"] == "slow"


async def test_expiry_on_a_live_socket(serve: Serve, toy: Toy) -> None:
    async with serve() as server, connect(url(server)) as client:
        await call(client, "authenticate", auth_token=toy.token(lifetime_s=60))
        await call(client, "subscribe_events", topics=["camera.connected"])
        toy.clock.jump(61)
        assert json.loads(await client.recv())["method"] == "system.auth_expired"
        assert (await call(client, "echo", text="x"))["error"]["code"] == -32001


async def test_only_text_frames(serve: Serve) -> None:
    async with serve() as server, connect(url(server)) as client:
        await client.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
        assert await close_code(client) == 1003


async def test_messages_have_a_size_limit(serve: Serve) -> None:
    async with serve(max_message_bytes=2000) as server, connect(url(server)) as client:
        assert (await call(client, "ping"))["result"] == "pong"
        await client.send(" " * 2001)
        assert await close_code(client) == 1009


@pytest.mark.parametrize(
    ("origin", "status"),
    [(None, 0), ("http://127.0.0.1:{port}", 0), ("https://ui.example", 0), ("http://evil.example", 403), ("null", 403)],
)  # fmt: skip
async def test_pages_of_other_origins_are_refused(serve: Serve, origin: str | None, status: int) -> None:
    async with serve(allowed_origins=("https://ui.*",)) as server:
        named = origin.format(port=server.port) if origin else None
        if not status:
            async with connect(url(server), origin=named) as client:  # type: ignore[arg-type]
                assert (await call(client, "ping"))["result"] == "pong"
            return
        with pytest.raises(InvalidStatus) as caught:
            await connect(url(server), origin=named)  # type: ignore[arg-type]
        assert caught.value.response.status_code == status


async def test_other_paths_have_no_socket(serve: Serve) -> None:
    async with serve() as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(url(server, "/other"))
        assert caught.value.response.status_code == 404


@pytest.mark.parametrize("setting", ["max_connections", "max_connections_per_address"])
async def test_connections_are_limited(serve: Serve, toy: Toy, setting: str) -> None:
    async with serve(**{setting: 2}) as server, connect(url(server)) as first, connect(url(server)) as second:
        for each in (first, second):
            await call(each, "authenticate", auth_token=toy.token())
        with pytest.raises(InvalidStatus) as caught:
            await connect(url(server))
        assert caught.value.response.status_code == 503
        async with httpx.AsyncClient(timeout=30) as http:
            assert (await http.get(url(server, "/", "http"))).status_code == 503
        assert (await call(second, "ping"))["result"] == "pong"
        await second.close()
        await until(lambda: second.state.name == "CLOSED")
        async with connect(url(server)) as third:
            assert (await call(third, "ping"))["result"] == "pong"


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET /ws HTTP/1.1\r\nHost: a\r\n"])
async def test_a_connection_without_a_request_is_closed(serve: Serve, sent: bytes) -> None:
    async with serve(first_request_s=0.2) as server, connect(url(server)) as client:
        async with await anyio.connect_tcp("127.0.0.1", server.port) as silent:
            if sent:
                await silent.send(sent)
            with anyio.fail_after(5), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                await silent.receive()
        assert (await call(client, "ping"))["result"] == "pong"


async def test_the_server_pings_and_drops_who_does_not_answer(serve: Serve, toy: Toy) -> None:
    async with serve(ping_interval_s=0.1) as server, connect(url(server), ping_interval=None) as client:
        async with await anyio.connect_tcp("127.0.0.1", server.port) as mute:
            await mute.send(
                b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await until(lambda: len(toy.sessions) == 2)
            await until(lambda: len(toy.sessions) == 1)
        assert (await call(client, "ping"))["result"] == "pong"


@pytest.mark.parametrize("stall_s", [0.0, 1.5])
async def test_a_download_under_way_does_not_hold_up_the_end(
    serve: Serve, caplog: pytest.LogCaptureFixture, stall_s: float
) -> None:
    """After a stall of the event loop all timers of the end are due at once."""

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await anyio.lowlevel.checkpoint()

    with anyio.fail_after(30):
        async with httpx.AsyncClient(timeout=30) as http:
            async with serve(http=endless) as server:
                request = http.build_request("GET", url(server, "/", "http"))
                response = await http.send(request, stream=True)
                asyncio.get_running_loop().call_later(1.0, time.sleep, stall_s)
            await response.aclose()
    assert "Traceback" not in caplog.text


async def test_tls_when_configured(toy: Toy, serve: Serve, certificate: tuple[Path, Path]) -> None:
    pem, key = certificate
    trust = ssl.create_default_context(cafile=str(pem))
    async with serve(tls_certificate=pem, tls_key=key) as server:
        assert server.scheme == "wss"
        async with connect(url(server, scheme="wss"), ssl=trust) as client:
            assert (await call(client, "ping"))["result"] == "pong"
            await call(client, "authenticate", auth_token=toy.token())
            await call(client, "subscribe_events", topics=["camera.connected"])
            toy.bus.publish("camera.connected", {"device": "camera0"})
            with anyio.fail_after(10):
                assert json.loads(await client.recv())["params"] == {"device": "camera0", "sequence": 1}
            async with httpx.AsyncClient(verify=trust, timeout=30) as http:
                assert (await http.get(url(server, "/", "https"))).text == "hi"

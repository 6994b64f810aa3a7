"""Hostile peers over real sockets: too many, too much, malformed, and not reading."""

import asyncio
import json
import logging
import os
import resource
import shutil
import socket
import ssl
import struct
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import connect, unix_connect
from websockets.exceptions import InvalidStatus

from agent_core.base.socket_place import LOOK_S
from agent_core.web.peer import _taken_bytes
from agent_core.web.server import RpcServer
from tests.toy_server import Serve, Toy, call, close_code, until, url

if TYPE_CHECKING:
    from anyio.abc import SocketStream

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
OPENED = b"HTTP/1.1 101 "


async def endless_for_a_user(scope: Scope, receive: Receive, send: Send) -> None:
    """Send until the peer has gone, as to one whose credentials were checked."""
    scope["state"]["peer"].set_known(is_known=True)
    await endless(scope, receive, send)


async def endless(scope: Scope, receive: Receive, send: Send) -> None:
    """Send until the peer has gone."""

    async def body() -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(body)
        while (await receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()


async def answer(server: RpcServer, sent: bytes) -> bytes:
    """All that comes until the server closes."""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as peer:
        await peer.send(sent)
        return await _all_of(peer)


async def _all_of(peer: "SocketStream") -> bytes:
    received = b""
    with anyio.fail_after(20):
        try:
            while True:
                received += await peer.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


def unreading(server: RpcServer) -> socket.socket:
    """A connection that can hold next to nothing."""
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.connect(("127.0.0.1", server.port))
    peer.setblocking(False)
    return peer


HANDSHAKES = {
    "many headers": (UPGRADE + b"".join(b"X-%d: a\r\n" % n for n in range(200)) + b"\r\n", 431),
    "a long header": (UPGRADE + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431),
    "a long target": (UPGRADE.replace(b"/ws", b"/ws?" + b"a" * 9000) + b"\r\n", 431),
    "too large a head": (UPGRADE + b"X-A: " + b"a" * 200_000, 431),
    "an escape in a value": (UPGRADE + b"X-A: a\x1b[31m\r\n\r\n", 400),
    "another method": (UPGRADE.replace(b"GET", b"POST") + b"Content-Length: 3\r\n\r\nabc", 405),
    "another method without a body": (UPGRADE.replace(b"GET", b"PUT") + b"\r\n", 405),
    "a body": (UPGRADE + b"Content-Length: 5\r\n\r\nhello", 400),
    "a body to come": (UPGRADE + b"Content-Length: 5\r\n\r\n", 400),
    "a chunked body": (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 400),
    "no key": (UPGRADE.replace(b"Key", b"Kex") + b"\r\n", 400),
    "a short key": (UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"xx") + b"\r\n", 400),
    "another version": (UPGRADE.replace(b"13", b"99") + b"\r\n", 400),
    "another path": (UPGRADE.replace(b"/ws", b"/other") + b"\r\n", 404),
    "another origin": (UPGRADE + b"Origin: http://evil.example\r\n\r\n", 403),
    "two lengths": (UPGRADE + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400),
    "no HTTP": (bytes(range(256)) * 4 + b"\r\n\r\n", 400),
    "TLS": (bytes.fromhex("16030100a5010000a10303") + bytes(160), 400),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), HANDSHAKES.values(), ids=HANDSHAKES)
async def test_every_handshake_is_answered_and_closed(
    serve: Serve, toy: Toy, caplog: pytest.LogCaptureFixture, sent: bytes, status: int
) -> None:
    async with serve() as server:
        received = await answer(server, sent)
        assert received.startswith(b"HTTP/1.1 %d " % status), received[:200]
        async with connect(url(server)) as client:
            assert (await call(client, "ping"))["result"] == "pong"
        await until(lambda: not toy.sessions)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]


@pytest.mark.parametrize("length", [b"", b"Content-Length: 0\r\n"])
async def test_what_comes_with_the_handshake_is_not_lost(serve: Serve, length: bytes) -> None:
    text = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
    frame = bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
    async with serve() as server, await anyio.connect_tcp("127.0.0.1", server.port) as peer:
        await peer.send(UPGRADE + length + b"\r\n" + frame)
        received = b""
        with anyio.fail_after(10):
            while b"pong" not in received:
                received += await peer.receive()
        assert received.startswith(OPENED)


async def test_a_broken_request_beside_an_answer_ends_the_connection_quietly(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(http=endless) as server:
        chunked = b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        async with await anyio.connect_tcp("127.0.0.1", server.port) as peer:
            await peer.send(chunked)
            assert (await peer.receive()).startswith(b"HTTP/1.1 200 ")
            await peer.send(b"ZZZ\r\n")
            await _all_of(peer)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("sent", [b"", UPGRADE, HANDSHAKES["many headers"][0], UPGRADE + b"\r\n"])
async def test_no_handshake_disturbs_the_end(
    serve: Serve, caplog: pytest.LogCaptureFixture, sent: bytes
) -> None:
    async with AsyncExitStack() as held:
        async with serve() as server:
            peer = await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port))
            await peer.send(sent)
            async with connect(url(server)) as client:  # so that the other has been seen
                await call(client, "ping")
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]


async def test_a_refused_origin_is_one_line_that_says_which(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as server:
        await answer(server, UPGRADE + b"Origin: http://caf\xe9.example\r\n\r\n")
        (record,) = (each for each in caplog.records if each.levelno >= logging.WARNING)
        assert "http://caf\\xe9.example" in record.getMessage()
        assert "server.allowed_origins" in record.getMessage()
        assert "\n" not in record.getMessage()
        for _ in range(50):
            await answer(server, UPGRADE + b"Origin: http://evil.example\r\n\r\n")
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert len(lines) == 10


async def test_the_oldest_stranger_gives_way_and_who_has_authenticated_does_not(
    serve: Serve, toy: Toy
) -> None:
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(serve(max_unauthenticated_connections=5))
        user = await held.enter_async_context(connect(url(server)))
        await call(user, "authenticate", auth_token=toy.token())
        strangers = [await held.enter_async_context(connect(url(server))) for _ in range(40)]
        assert [await close_code(each) for each in strangers[:35]] == [1013] * 35
        for each in (user, *strangers[35:]):
            assert (await call(each, "ping"))["result"] == "pong"
        late = strangers[-1]
        await call(late, "authenticate", auth_token=toy.token())
        for _ in range(20):
            await held.enter_async_context(connect(url(server)))
        assert (await call(late, "ping"))["result"] == "pong"
        assert await close_code(strangers[35]) == 1013


async def test_an_http_connection_without_a_request_gives_way_too(serve: Serve) -> None:
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(serve(max_unauthenticated_connections=3))
        idle: list[SocketStream] = [
            await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port))
            for _ in range(30)
        ]
        with anyio.fail_after(10):
            for each in idle[:27]:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await each.receive()
        await idle[-1].send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await idle[-1].receive()).startswith(b"HTTP/1.1 200 ")


UNFINISHED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"


async def read_whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when the request's body is complete, as `/login` does."""
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"whole"})


async def test_requests_without_the_end_of_their_body_give_way_like_other_strangers(serve: Serve) -> None:
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(serve(http=read_whole, max_unauthenticated_connections=3))
        owing: list[SocketStream] = []
        for _ in range(30):
            owing.append(await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port)))
            await owing[-1].send(UNFINISHED + b"x")
        for each in owing[:27]:
            assert await _all_of(each) == b""
        await owing[-1].send(b"y")
        assert b"200" in await owing[-1].receive()


async def test_a_tls_handshake_has_a_place_and_a_deadline(
    serve: Serve, certificate: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    pem, key = certificate
    tls = {"tls_certificate": pem, "tls_key": key}
    async with serve(**tls, first_request_s=0.3) as server:
        assert await answer(server, b"\x16") == b""
        await answer(server, b"GET / HTTP/1.1\r\n\r\n")  # no TLS at all
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(serve(**tls, max_unauthenticated_connections=2))
        silent = [
            await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port))
            for _ in range(10)
        ]
        for each in silent[:8]:
            assert await _all_of(each) == b""
        trust = ssl.create_default_context(cafile=str(pem))
        secure = f"wss://127.0.0.1:{server.port}/ws"
        client = await held.enter_async_context(connect(secure, ssl=trust))
        assert (await call(client, "ping"))["result"] == "pong"
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]


async def test_a_stranger_that_takes_long_for_an_answer_gives_way(serve: Serve) -> None:
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(serve(http=endless, max_unauthenticated_connections=3))
        peers = [
            await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port))
            for _ in range(3)
        ]
        for each in peers:
            await each.send(b"GET /large.js HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await each.receive()
        client = await held.enter_async_context(connect(url(server)))
        assert (await call(client, "ping"))["result"] == "pong"
        await _all_of(peers[0])


async def test_a_download_does_not_give_way(serve: Serve) -> None:
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(
            serve(http=endless_for_a_user, max_unauthenticated_connections=1)
        )
        peer = await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", server.port))
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await peer.receive()
        for _ in range(10):
            await held.enter_async_context(connect(url(server)))
        received = 0
        with anyio.fail_after(20):
            while received < 10_000_000:
                received += len(await peer.receive())


async def test_who_does_not_read_is_dropped(serve: Serve, toy: Toy) -> None:
    async with serve(stall_s=0.3) as server, connect(url(server)) as other:
        with unreading(server) as deaf:
            with anyio.fail_after(20):
                await _send(deaf, UPGRADE + b"\r\n")
            await until(lambda: len(toy.sessions) == 2)
            await _send(deaf, _request("authenticate", auth_token=toy.token()))
            await _send(deaf, _request("echo", text="x" * 1000, times=1000) * 20)
            await until(lambda: len(toy.sessions) == 1)
            assert await _ended(deaf)
        assert (await call(other, "ping"))["result"] == "pong"


async def test_a_download_that_is_not_read_is_dropped(serve: Serve) -> None:
    ended = anyio.Event()

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await endless(scope, receive, send)
        finally:
            ended.set()

    async with serve(stall_s=0.3, http=watched) as server:
        with unreading(server) as deaf:
            await _send(deaf, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            with anyio.fail_after(20):
                await ended.wait()
            assert await _ended(deaf)


@pytest.mark.parametrize("is_secure", [False, True])
async def test_what_a_slow_peer_has_taken_is_seen(certificate: tuple[Path, Path], is_secure: bool) -> None:
    """Below TLS there is a buffer of which asyncio tells nothing."""
    context = None
    if is_secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    writers: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(
        lambda _reader, writer: writers.append(writer), "127.0.0.1", 0, ssl=context
    )
    async with server:
        trust = ssl.create_default_context(cafile=str(certificate[0])) if is_secure else None
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, limit=1024)
        await until(lambda: bool(writers))
        transport = writers[0].transport
        transport.write(b"x" * 20_000_000)
        taken = [_taken_bytes(transport)]
        for _ in range(3):
            await reader.readexactly(4_000_000)
            await until(lambda: _taken_bytes(transport) > taken[-1] + 1_000_000)
            taken.append(_taken_bytes(transport))
        transport.abort()
        writer.transport.abort()


async def test_pings_of_a_peer_that_does_not_read_are_not_stored(serve: Serve, toy: Toy) -> None:
    """Each would be answered into a buffer that nobody empties, and no call is charged for it."""
    ping = bytes([0x89, 0x80 | 125]) + bytes(4 + 125)
    async with serve(stall_s=0.3) as server:
        with unreading(server) as deaf:
            await _send(deaf, UPGRADE + b"\r\n")
            await until(lambda: len(toy.sessions) == 1)
            try:
                with anyio.move_on_after(20):
                    while toy.sessions:
                        await _send(deaf, ping * 1000)
            except OSError:
                pass
            await until(lambda: not toy.sessions)


async def test_the_local_socket_is_outside_the_counts(serve: Serve, toy: Toy, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    async with AsyncExitStack() as held:
        server = await held.enter_async_context(serve(local=path, max_connections=1))
        assert server.local_socket == path
        assert path.stat().st_mode & 0o777 == 0o600
        user = await held.enter_async_context(connect(url(server)))
        await call(user, "authenticate", auth_token=toy.token())
        with pytest.raises(InvalidStatus):
            await connect(url(server))
        local = await held.enter_async_context(unix_connect(str(path), "ws://localhost/ws"))
        assert (await call(local, "authenticate", auth_token=toy.token()))["result"]["authenticated"]
    assert not path.exists()


async def test_a_local_socket_that_vanishes_is_made_again(serve: Serve, toy: Toy, tmp_path: Path) -> None:
    path = tmp_path / "run" / "agent.sock"
    async with serve(local=path):
        async with unix_connect(str(path), "ws://localhost/ws") as before:
            shutil.rmtree(path.parent)
            with anyio.fail_after(20):
                while not path.exists():
                    toy.clock.jump(LOOK_S)
                    await anyio.sleep(0.01)
            assert path.stat().st_mode & 0o777 == 0o600
            async with unix_connect(str(path), "ws://localhost/ws") as after:
                assert (await call(after, "ping"))["result"] == "pong"
            assert (await call(before, "ping"))["result"] == "pong"
    assert not path.exists()


async def test_failed_logins_of_the_network_are_not_those_of_the_local_socket(
    serve: Serve, toy: Toy, tmp_path: Path
) -> None:
    path = tmp_path / "agent.sock"
    async with serve(local=path) as server:
        async with connect(url(server)) as stranger:
            reasons = [
                (await call(stranger, "authenticate", auth_token="x"))["error"]["data"]["reason"]
                for _ in range(12)
            ]
        assert reasons[-1] == "too_many_failures"
        async with unix_connect(str(path), "ws://localhost/ws") as local:
            reply = await call(local, "authenticate", auth_token="x")
            assert reply["error"]["data"]["reason"] == "token_invalid"


async def test_without_room_for_its_name_there_is_no_local_socket(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / ("d" * 120)
    folder.mkdir()
    async with serve(local=folder / "agent.sock") as server, connect(url(server)) as client:
        assert server.local_socket is None
        assert (await call(client, "ping"))["result"] == "pong"
    (record,) = (each for each in caplog.records if each.levelno >= logging.WARNING)
    assert "storage.runtime_dir" in record.getMessage()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
async def test_other_accounts_cannot_use_the_local_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    async with serve(local=path):
        path.chmod(0o666)
        tmp_path.chmod(0o755)
        code = (
            "import os, socket; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect('agent.sock');"
        )
        code += "s.settimeout(20); print(s.recv(1))"
        ended = await anyio.run_process([sys.executable, "-c", code], check=False, cwd=tmp_path)
        assert ended.stdout == b"b''\n" or b"ConnectionReset" in ended.stderr, ended


async def test_without_descriptors_new_connections_wait_and_one_line_says_so(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as server, connect(url(server)) as client:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as waiting:
            waiting.setblocking(False)
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                with pytest.raises(BlockingIOError):
                    waiting.connect(("127.0.0.1", server.port))
                await until(lambda: "cannot accept connections" in caplog.text)
                for _ in range(200):
                    assert (await call(client, "ping"))["result"] == "pong"
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await anyio.wait_writable(waiting)
            await _send(waiting, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await anyio.wait_readable(waiting)
            assert waiting.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert caplog.text.count("cannot accept connections") == 1
    assert "Traceback" not in caplog.text


def _request(method: str, **params: object) -> bytes:
    data = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    return b"\x81\xff" + struct.pack(">Q", len(data)) + bytes(4) + data


async def _send(peer: socket.socket, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[peer.send(rest) :]
        except BlockingIOError:
            with anyio.move_on_after(0.2) as late:
                await anyio.wait_writable(peer)
            if late.cancelled_caught:
                return  # The server reads no more of it.


async def _ended(peer: socket.socket) -> bool:
    """Read what was sent before, and then the end."""
    with anyio.fail_after(20):
        while True:
            await anyio.wait_readable(peer)
            try:
                if not peer.recv(1 << 16):
                    return True
            except ConnectionResetError:
                return True

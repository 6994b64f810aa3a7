"""Frames that no client library sends, over real sockets."""

import contextlib
import json
import logging
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from anyio.abc import SocketStream
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from agent_core.config import ServerConfig
from agent_core.web.server import RpcServer

if TYPE_CHECKING:
    from tests.toy_server import Toy

TEXT, BINARY, PING, PONG, CONTINUED = 1, 2, 9, 10, 0
CALL = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
PONG_REPLY = '{"jsonrpc":"2.0","id":1,"result":"pong"}'


def frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """As a client sends it, masked with zeros."""
    size = len(data)
    if size < 126:
        head = bytes([0x80 | size])
    elif size < 65536:
        head = bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head = bytes([0x80 | 127]) + struct.pack(">Q", size)
    return bytes([0x80 * fin | opcode]) + head + b"\0\0\0\0" + data


class RawPeer:
    """A WebSocket of which every byte is ours to choose."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._received = b""

    @classmethod
    @asynccontextmanager
    async def connected(cls, port: int) -> "AsyncIterator[RawPeer]":
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            peer = cls(stream)
            await peer.send(
                b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            while b"\r\n\r\n" not in peer._received:
                peer._received += await stream.receive()
            peer._received = peer._received.partition(b"\r\n\r\n")[2]
            yield peer

    async def send(self, *frames: bytes) -> None:
        await self._stream.send(b"".join(frames))

    async def frame(self) -> tuple[int, bytes]:
        size = (await self._exactly(2))[1]
        if size == 126:
            size = struct.unpack(">H", (await self._exactly(4))[2:])[0]
            return self._cut(4, size, await self._exactly(4 + size))
        return self._cut(2, size, await self._exactly(2 + size))

    def _cut(self, head: int, size: int, data: bytes) -> tuple[int, bytes]:
        self._received = self._received[head + size :]
        return data[0] & 15, data[head:]

    async def _exactly(self, size: int) -> bytes:
        with anyio.fail_after(20):
            while len(self._received) < size:
                self._received += await self._stream.receive()
        return self._received[:size]

    async def text(self) -> str:
        opcode, data = await self.frame()
        assert opcode == TEXT, data
        return data.decode()

    async def ended(self) -> None:
        """Return when the connection is gone; what is received before it is dropped."""
        with anyio.fail_after(20), contextlib.suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await self._stream.receive()

    async def close_code(self) -> int:
        """What is received before it is dropped; then the connection really ends."""
        while (received := await self.frame())[0] != 8:
            pass
        await self.ended()
        return int(struct.unpack(">H", received[1][:2])[0])


@asynccontextmanager
async def serving(toy: "Toy", **settings: Any) -> AsyncIterator[int]:
    async def http(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    server = RpcServer(ServerConfig(port=0, **settings), toy.sessions, http)
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.run)
        yield server.port
        tasks.cancel_scope.cancel()


async def code_after(client: ClientConnection, text: str) -> int | None:
    """The close code that `client` receives when it sends `text`."""
    with contextlib.suppress(ConnectionClosed):
        await client.send(text)
        await client.recv()
    return client.close_code


async def pour(peer: RawPeer, data: bytes) -> None:
    """Send `data` again and again until the connection is gone."""
    with contextlib.suppress(anyio.BrokenResourceError):
        while True:
            await peer.send(data)


@pytest.mark.parametrize(
    "frames",
    [
        [frame(TEXT, b"\xff\xfe\xfd")],
        [frame(TEXT, b'"\xed\xa0\x80"')],
        [frame(TEXT, CALL[:9] + b"\xc3", fin=False), frame(CONTINUED, CALL[9:])],
        [frame(TEXT, b"\xc3")],
    ],
    ids=range(4),
)
async def test_text_that_is_not_utf8_is_the_peers_fault(
    toy: "Toy", frames: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        await peer.send(frame(TEXT, CALL))
        assert await peer.text() == PONG_REPLY
        await peer.send(*frames)
        assert await peer.close_code() == 1007
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_character_may_be_split_between_frames(toy: "Toy") -> None:
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        await peer.send(frame(TEXT, CALL[:-1] + b',"\xc3', fin=False), frame(PING, b"in between"))
        assert await peer.frame() == (PONG, b"in between")
        await peer.send(frame(CONTINUED, b'\xa9":1}'))
        assert await peer.text() == PONG_REPLY


async def test_every_byte_of_a_message_may_have_a_frame_of_its_own(toy: "Toy") -> None:
    pieces = [frame(CONTINUED, CALL[at : at + 1], fin=False) for at in range(1, len(CALL))]
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        await peer.send(frame(TEXT, CALL[:1], fin=False), *pieces, frame(CONTINUED))
        assert await peer.text() == PONG_REPLY


@pytest.mark.parametrize(
    ("first", "flood"),
    [
        (frame(TEXT, b'"', fin=False), frame(CONTINUED, fin=False)),
        (frame(BINARY, b'"', fin=False), frame(CONTINUED, b"x", fin=False)),
        (b"", frame(PING, b"x" * 125)),
        (b"", frame(PONG)),
    ],
    ids=["empty pieces", "pieces", "pings", "pongs"],
)
async def test_frames_without_an_end_are_limited(toy: "Toy", first: bytes, flood: bytes) -> None:
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        async with anyio.create_task_group() as tasks:
            await peer.send(first)
            tasks.start_soon(pour, peer, flood * 1000)
            assert await peer.close_code() == 1008
            tasks.cancel_scope.cancel()
        async with RawPeer.connected(port) as other:
            await other.send(frame(TEXT, CALL))
            assert await other.text() == PONG_REPLY


async def test_before_authenticate_only_short_messages_are_taken(toy: "Toy") -> None:
    async with serving(toy, max_unauthenticated_message_bytes=8192) as port:
        url = f"ws://127.0.0.1:{port}/ws"
        async with connect(url) as client:
            await client.send(CALL.decode() + " " * (8192 - len(CALL)))
            assert await client.recv() == PONG_REPLY
            assert await code_after(client, " " * 8193) == 1009
        async with connect(url) as client:
            login = {
                "jsonrpc": "2.0",
                "id": 0,
                "method": "authenticate",
                "params": [toy.token(lifetime_s=60)],
            }
            await client.send(json.dumps(login))
            assert "result" in json.loads(await client.recv())
            await client.send(CALL.decode() + " " * 900_000)
            assert await client.recv() == PONG_REPLY
            toy.clock.jump(60)
            await client.send(CALL.decode())
            assert await client.recv() == PONG_REPLY
            assert await code_after(client, " " * 8193) == 1009


@pytest.mark.parametrize("size", [40_000, 1 << 20, 4 << 20])
async def test_a_peer_learns_that_its_message_is_too_long(toy: "Toy", size: int) -> None:
    """Unless what it still sends is read, it gets a reset instead of the reason."""
    async with serving(toy) as port:
        for _ in range(3):
            async with connect(f"ws://127.0.0.1:{port}/ws") as client:
                assert await code_after(client, " " * size) == 1009


async def test_a_peer_that_goes_on_with_its_long_message_is_cut_off(toy: "Toy") -> None:
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        await peer.send(frame(TEXT, b" " * (1 << 20))[:60_000])
        assert (await peer.frame())[1][:2] == struct.pack(">H", 1009)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pour, peer, b" " * 65536)
            await peer.ended()
            tasks.cancel_scope.cancel()


async def test_many_small_messages_of_one_read_are_answered_in_order(toy: "Toy") -> None:
    count = 5000
    calls = (f'{{"jsonrpc":"2.0","id":{number},"method":"ping"}}'.encode() for number in range(count))
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        sent = b"".join(frame(TEXT, call) for call in calls)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(peer.send, sent)
            assert [json.loads(await peer.text())["id"] for _ in range(count)] == list(range(count))


async def test_a_peer_is_answered_while_another_sends_as_much_as_it_can(toy: "Toy") -> None:
    async with serving(toy) as port, RawPeer.connected(port) as noisy, RawPeer.connected(port) as quiet:
        async with anyio.create_task_group() as tasks:

            async def drop() -> None:
                while True:
                    await noisy.text()

            tasks.start_soon(pour, noisy, frame(TEXT) * 10_000)
            tasks.start_soon(drop)
            for _ in range(20):
                await quiet.send(frame(TEXT, CALL))
                assert await quiet.text() == PONG_REPLY
            tasks.cancel_scope.cancel()


async def test_our_close_is_followed_by_theirs_behind_what_they_sent(toy: "Toy") -> None:
    """The peer's close frame is found behind messages that wait to be parsed, so the connection ends with it."""
    async with serving(toy) as port, RawPeer.connected(port) as peer:
        await peer.send(frame(BINARY, b"x"), frame(TEXT, CALL) * 3000)
        assert (await peer.frame())[1][:2] == struct.pack(">H", 1003)
        await peer.send(frame(8, struct.pack(">H", 1003)))
        await peer.ended()

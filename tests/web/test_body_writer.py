"""Bodies that many peers share: what a peer does not read is kept once for all."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager

import anyio
import anyio.lowlevel
import pytest

from agent_core.web.body_writer import BodyWriter
from agent_core.web.progress import Progress
from tests.toy_server import until

PART = bytes(range(256)) * (16 << 10)


class _Protocol(asyncio.Protocol):
    def __init__(self) -> None:
        self.progress = Progress()

    def pause_writing(self) -> None:
        self.progress.pause()

    def resume_writing(self) -> None:
        self.progress.resume()


class Pair:
    """Connection with the writer at one end, and at the other a client that reads only when asked to."""

    def __init__(self, transport: asyncio.Transport, protocol: _Protocol, client: socket.socket) -> None:
        self.transport = transport
        self.writer = BodyWriter(transport, protocol.progress)
        self._client = client
        self.readied = 0

    def note_ready(self) -> None:
        self.readied += 1

    @contextmanager
    def following(self) -> Iterator[None]:
        with self.writer.following(self.note_ready):
            yield

    async def read(self, size_bytes: int) -> bytes:
        received = b""
        with anyio.fail_after(30):
            while len(received) < size_bytes:
                await anyio.wait_readable(self._client)
                received += self._client.recv(1 << 20)
        return received


@asynccontextmanager
async def pair() -> AsyncIterator[Pair]:
    """Make a connection over TCP that holds little on its way."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
        client.connect(listening.getsockname())
        client.setblocking(False)
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_accepted_socket(_Protocol, accepted)
        try:
            yield Pair(transport, protocol, client)
        finally:
            transport.abort()
            await anyio.lowlevel.checkpoint()


async def test_a_peer_gets_all_in_order_and_is_busy_until_then() -> None:
    async with pair() as it:
        with it.following():
            it.writer.write(PART)
            busy = [it.writer.is_busy]
            assert await it.read(len(PART)) == PART
            await until(lambda: it.readied == 1)
            busy.append(it.writer.is_busy)
            assert busy == [True, False]
            it.writer.write(b"next")
            assert await it.read(4) == b"next"


async def test_the_end_of_the_response_comes_after_the_whole_part() -> None:
    async with pair() as it:
        with it.following():
            it.writer.write(PART)
        it.transport.write(b"end")
        assert await it.read(len(PART) + 3) == PART + b"end"


async def test_nothing_more_is_written_to_a_connection_that_was_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with pair() as it:
        with it.following():
            it.writer.write(PART)
            it.transport.abort()
            for _ in range(10):
                it.writer.write(PART)
        assert it.writer.is_busy
    assert not caplog.records


async def test_peers_that_read_nothing_share_what_they_are_sent() -> None:
    count = 10
    async with AsyncExitStack() as held:
        opened = [await held.enter_async_context(pair()) for _ in range(count)]
        for each in opened:
            held.enter_context(each.following())
            held.callback(each.transport.abort)
        tracemalloc.start()
        held.callback(tracemalloc.stop)
        for each in opened:
            each.writer.write(PART)
        assert tracemalloc.get_traced_memory()[0] < count * len(PART) / 8

"""Bodies that many peers share: what a peer does not read is kept once for all."""

import asyncio
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Protocol

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


class Reader(Protocol):
    def recv(self, size_bytes: int, /) -> bytes: ...


class _SecureReader:
    """Client's end of TLS over a socket that does not block."""

    def __init__(self, client: socket.socket, context: ssl.SSLContext) -> None:
        self._client = client
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")

    async def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._client.sendall(self._outgoing.read())
                await anyio.wait_readable(self._client)
                self._incoming.write(self._client.recv(1 << 20))
            else:
                self._client.sendall(self._outgoing.read())
                return

    def recv(self, size_bytes: int, /) -> bytes:
        self._incoming.write(self._client.recv(size_bytes))
        received = b""
        with suppress(ssl.SSLWantReadError):
            while True:
                received += self._tls.read(size_bytes)
        return received


class Pair:
    """Connection with the writer at one end, and at the other a client that reads only when asked to."""

    def __init__(
        self, transport: asyncio.Transport, protocol: _Protocol, client: socket.socket, reader: "Reader"
    ) -> None:
        self.transport = transport
        self._reader = reader
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
                received += self._reader.recv(1 << 20)
        return received


@asynccontextmanager
async def pair(tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None) -> AsyncIterator[Pair]:
    """Make a connection over TCP that holds little on its way; `tls` are the contexts of server and client."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 10)
        client.connect(listening.getsockname())
        client.setblocking(False)
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32 << 10)
        loop = asyncio.get_running_loop()
        async with anyio.create_task_group() as tasks:
            reader: Reader = client
            if tls is not None:
                reader = _SecureReader(client, tls[1])
                tasks.start_soon(reader.shake_hands)
            transport, protocol = await loop.connect_accepted_socket(
                _Protocol, accepted, ssl=tls[0] if tls else None
            )
        try:
            yield Pair(transport, protocol, client, reader)
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


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    pem, key = certificate
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem, key)
    return server, ssl.create_default_context(cafile=str(pem))


async def taken_unread(it: Pair, picture: bytes) -> int:
    """Return how many pictures the writer takes for a client that reads nothing."""
    count = 0
    while not it.writer.is_busy:
        it.writer.write(picture)
        count += 1
        for _ in range(3):  # as between pictures
            await anyio.lowlevel.checkpoint()
    return count


@pytest.mark.parametrize("size_bytes", [20_000, 60_000, 200_000, 500_000])
async def test_tls_keeps_no_backlog_of_its_own(
    size_bytes: int, tls: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    picture = PART[:size_bytes]
    async with pair() as plain, pair(tls) as secure:
        with plain.following(), secure.following():
            counts = await taken_unread(plain, picture), await taken_unread(secure, picture)
            assert counts[1] <= counts[0]
            assert await secure.read(counts[1] * size_bytes) == picture * counts[1]
            await until(lambda: not secure.writer.is_busy)
            assert secure.readied >= 1

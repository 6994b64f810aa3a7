"""Servers on hosts of a test that are no RTSP servers, or bad ones. They run in the test's own process."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketListener, SocketStream

from .lan import Host

__all__ = (
    "Conversation",
    "OddServer",
    "Talk",
    "answers_http",
    "closes_after_describe",
    "describes",
    "drips",
    "endless",
    "is_silent",
    "redirects",
    "running_odd",
    "talks_garbage",
)

#: Holds one conversation; its end closes the connection.
Talk = Callable[["Conversation"], Awaitable[None]]

SDP = (
    "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=odd\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 packetization-mode=1; sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==\r\na=control:trackID=0\r\n"
)
_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


@dataclass
class OddServer:
    """Server that runs. `asked` has the first line of each request, `connections` the number accepted."""

    host: Host
    port: int
    connections: int = 0
    asked: list[str] = field(default_factory=list)


class Conversation:
    """One connection of a client to an odd server."""

    def __init__(self, stream: SocketStream, server: OddServer) -> None:
        self._stream = stream
        self._server = server
        self._rest = b""

    async def request(self) -> tuple[str, str, str]:
        """Return method, address and CSeq of the next request."""
        while b"\r\n\r\n" not in self._rest:
            self._rest += await self._stream.receive()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode(errors="replace").split("\r\n")
        self._server.asked.append(first)
        fields = {
            name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)
        }
        method, _, rest = first.partition(" ")
        return method, rest.rpartition(" ")[0], fields.get("cseq", "0")

    async def send(self, data: bytes) -> None:
        await self._stream.send(data)

    async def answer(self, cseq: str, status: str = "200 OK", *fields: str, body: str = "") -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {cseq}", *fields]
        if body:
            lines += ["Content-Type: application/sdp", f"Content-Length: {len(body.encode())}"]
        await self.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())


@asynccontextmanager
async def running_odd(host: Host, talk: Talk, *, port: int = 554) -> AsyncIterator[OddServer]:
    """Serve on the host for as long as the context is open; its end resets nothing and closes all connections."""
    server = OddServer(host, port)

    async def serve(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            with suppress(*_GONE):
                await talk(Conversation(stream, server))

    listener = await SocketListener.from_socket(host.listen(port))
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield server
        tasks.cancel_scope.cancel()


async def is_silent(_conversation: Conversation) -> None:
    """Accept, and say nothing."""
    await anyio.sleep_forever()


async def talks_garbage(conversation: Conversation) -> None:
    """Send bytes of no protocol at once, without line ends, and then nothing."""
    noise = bytes(each for each in random.Random(554).randbytes(65536) if each not in b"\r\n")
    await conversation.send(noise)
    await anyio.sleep_forever()


async def endless(conversation: Conversation) -> None:
    """Answer OPTIONS with header fields without an end."""
    _, _, cseq = await conversation.request()
    await conversation.send(f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\n".encode())
    while True:
        await conversation.send(b"X-More: " + b"x" * 500 + b"\r\n")


async def answers_http(conversation: Conversation) -> None:
    """Answer every request as a web server."""
    while True:
        await conversation.request()
        await conversation.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nweb"
        )


def drips(*, pause_s: float = 0.2) -> Talk:
    """Return a server that sends its answers byte by byte."""

    async def talk(conversation: Conversation) -> None:
        while True:
            _, _, cseq = await conversation.request()
            for byte in f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nPublic: OPTIONS, DESCRIBE\r\n\r\n".encode():
                await conversation.send(bytes((byte,)))
                await anyio.sleep(pause_s)

    return talk


def redirects(location: str, *, to_describe: str = "302 Found") -> Talk:
    """Return a server that sends every `DESCRIBE` elsewhere; `{path}` in the location is the path that was asked for."""

    async def talk(conversation: Conversation) -> None:
        while True:
            method, address, cseq = await conversation.request()
            if method == "OPTIONS":
                await conversation.answer(cseq, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY")
                continue
            path = address.partition("://")[2].partition("/")[2]
            await conversation.answer(cseq, to_describe, f"Location: {location.format(path=path)}")

    return talk


def describes(sdp: str = SDP, *, then_closes: bool = False) -> Talk:
    """Return a server that answers OPTIONS and DESCRIBE, any path, and refuses everything else."""

    async def talk(conversation: Conversation) -> None:
        while True:
            method, _, cseq = await conversation.request()
            if method == "DESCRIBE":
                await conversation.answer(cseq, body=sdp)
                if then_closes:
                    return
            elif method == "OPTIONS":
                await conversation.answer(cseq, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY")
            else:
                await conversation.answer(cseq, "455 Method Not Valid in This State")

    return talk


def closes_after_describe() -> Talk:
    """Return a server that describes a stream and closes the connection."""
    return describes(then_closes=True)

"""Servers on this host that answer as cameras, other services and attackers do."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address

import anyio
from anyio.abc import SocketAttribute, SocketStream

from agent_core.plugin.rtsp import Headers, Request, Response, RtspParser
from external_discovery.probe import ProbeTarget

LOOPBACK = IPv4Address("127.0.0.1")
H264 = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"

Handler = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[ProbeTarget]:
    """Serve every connection with `handler`, which may raise the errors of a connection that breaks."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            try:
                await handler(stream)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 # not Django
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, handle)
            try:
                yield ProbeTarget(LOOPBACK, port, "/live?x=1", "camera.test")
            finally:
                tasks.cancel_scope.cancel()


class Script:
    """Handler that gives the answers of `answers`, by method, and keeps the requests of all connections."""

    def __init__(
        self, answers: Callable[[Request], Response | bytes | None], *, one_each: bool = False
    ) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._answers = answers
        self._one_each = one_each

    async def __call__(self, stream: SocketStream) -> None:
        self.connections += 1
        parser = RtspParser()
        while True:
            for message in parser.feed(await stream.receive()):
                assert isinstance(message, Request)
                self.requests.append(message)
                answer = self._answers(message)
                if answer is None:
                    return
                await stream.send(answer if isinstance(answer, bytes) else _encoded(answer, message))
                if self._one_each:
                    return


def _encoded(answer: Response, request: Request) -> bytes:
    fields = [("CSeq", request.cseq), *answer.headers]
    return Response(answer.status, Headers(fields), answer.body, answer.reason).encode()

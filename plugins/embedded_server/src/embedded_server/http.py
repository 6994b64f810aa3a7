"""HTTP/1.1 with the manners of the server that we stand in for: its headers, time-outs and ways to refuse."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import anyio
import h11
from anyio import TASK_STATUS_IGNORED
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskStatus

from embedded_server.surroundings import Surroundings

__all__ = ("HttpRequest", "HttpResponse", "HttpServer")

_IDLE_S = 30.0
_READ_S = 10.0
_BODY_LIMIT_BYTES = 10 << 20
_RECEIVE_BYTES = 65_536
_MAX_CONNECTIONS = 256
_MALFORMED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`path` is decoded; names in `headers` are in lower case. `body` is None where it was too large to keep."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None
    peer: str


@dataclass(frozen=True, slots=True)
class HttpResponse:
    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()


Handler = Callable[[HttpRequest], Awaitable[HttpResponse]]


@dataclass(eq=False, slots=True)
class _Connection:
    stream: SocketStream
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    answering: bool = False
    last: bool = False


class HttpServer:
    """Serves one handler; each connection is a task below `run`."""

    def __init__(
        self, listener: Listener[SocketStream], handler: Handler, surroundings: Surroundings
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._surroundings = surroundings
        self._connections: set[_Connection] = set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; connections end with it."""
        task_status.started()
        async with anyio.create_task_group() as tg:
            await self._listener.serve(self._serve, tg)

    def close_connections(self) -> None:
        """End all connections, those that are answering after their answer."""
        for connection in self._connections:
            connection.last = True
            if not connection.answering:
                connection.scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        connection = _Connection(stream)
        async with stream:
            if len(self._connections) >= _MAX_CONNECTIONS:
                return
            self._connections.add(connection)
            try:
                with connection.scope:
                    await self._surroundings.guarded(partial(self._converse, connection))
            finally:
                self._connections.discard(connection)

    async def _converse(self, connection: _Connection) -> None:
        protocol = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, protocol):
                protocol.start_next_cycle()
        except h11.RemoteProtocolError:
            with suppress(anyio.BrokenResourceError):
                await connection.stream.send(_MALFORMED)
        except (TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream):
            pass

    async def _exchange(self, connection: _Connection, protocol: h11.Connection) -> bool:
        """Whether another exchange may follow."""
        request = await _receive(protocol, connection.stream)
        if request is None:
            return False
        connection.answering = True
        response = await self._handler(request)
        data = _encode(protocol, request, response)
        await connection.stream.send(data)
        connection.answering = False
        return not connection.last and protocol.our_state is h11.DONE and protocol.their_state is h11.DONE


async def _receive(protocol: h11.Connection, stream: SocketStream) -> HttpRequest | None:
    with anyio.fail_after(_IDLE_S) as patience:
        event = await _next_event(protocol, stream)
        if not isinstance(event, h11.Request):
            return None
        patience.deadline = anyio.current_time() + _READ_S
        body: bytearray | None = bytearray()
        while not isinstance(part := await _next_event(protocol, stream), h11.EndOfMessage):
            if isinstance(part, h11.Data) and body is not None:
                body += part.data
                body = body if len(body) <= _BODY_LIMIT_BYTES else None
            elif isinstance(part, h11.ConnectionClosed):
                return None
    peer = stream.extra(SocketAttribute.remote_address, None)  # noqa: S610 - not Django
    if peer is None:  # it has reset the connection: there is nobody to answer
        return None
    return _request(event, None if body is None else bytes(body), str(peer[0]))


async def _next_event(protocol: h11.Connection, stream: SocketStream) -> h11.Event:
    while True:
        event = protocol.next_event()
        if event is h11.NEED_DATA:
            try:
                protocol.receive_data(await stream.receive(_RECEIVE_BYTES))
            except anyio.EndOfStream:
                protocol.receive_data(b"")
        elif isinstance(event, h11.Event):
            return event
        else:
            raise anyio.EndOfStream


def _request(event: h11.Request, body: bytes | None, peer: str) -> HttpRequest:
    target = event.target.decode("latin-1")
    path, _, query = target.partition("?")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    given = dict(reversed(parse_qsl(query, keep_blank_values=True)))
    return HttpRequest(event.method.decode("latin-1"), unquote(path), given, headers, body, peer)


def _encode(protocol: h11.Connection, request: HttpRequest, response: HttpResponse) -> bytes:
    headers = [("Access-Control-Allow-Origin", "*"), *response.headers]
    if response.content_type:
        headers.append(("Content-Type", response.content_type))
    headers += [("Server", "mediamtx"), ("Date", format_datetime(datetime.now(UTC), usegmt=True))]
    if response.status != HTTPStatus.NO_CONTENT:
        headers.append(("Content-Length", str(len(response.body))))
    head = h11.Response(
        status_code=response.status, reason=HTTPStatus(response.status).phrase, headers=headers
    )
    body = b"" if request.method == "HEAD" else response.body
    events = (head, h11.Data(data=body), h11.EndOfMessage()) if body else (head, h11.EndOfMessage())
    return b"".join(protocol.send(event) or b"" for event in events)

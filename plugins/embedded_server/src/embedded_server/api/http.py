"""HTTP/1.1 server with MediaMTX's headers, time-outs and refusals."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from http import HTTPStatus
from typing import Protocol
from urllib.parse import parse_qsl, unquote

import anyio
import h11
from anyio import TASK_STATUS_IGNORED
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskStatus

from embedded_server.connections.peers import Endpoint
from embedded_server.connections.places import Place, Places, accept_all
from embedded_server.context import ServerContext

__all__ = ("HttpHandler", "HttpRequest", "HttpResponse", "HttpServer")

_IDLE_S = 30.0
_READ_S = 10.0
_WRITE_S = 10.0
#: The options of a path are a few kilobytes.
_BODY_LIMIT_BYTES = 1 << 20
#: Bytes of a refused body that are read and dropped: closing with unread input would reset the connection
#: before the answer arrives.
_DROP_LIMIT_BYTES = 256 << 10
_RECEIVE_BYTES = 65_536
#: Concurrent connections of other accounts and hosts, and of each of them.
_MAX_CONNECTIONS, _MAX_OF_ONE_PEER = 128, 64
_MALFORMED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """Request of a client.

    Attributes:
        path: percent-decoded, without the query.
        headers: values by lower-case name.
        body: None if it was too large to keep.
        peer: IP address of the client.
        local: IP address of this end of the connection.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes | None
    peer: str
    local: str

    @property
    def has_body(self) -> bool:
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "0").strip("0") != ""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Answer to one request; `status` is an HTTP status code."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class HttpHandler(Protocol):
    """Handler of requests, in two steps around the reading of the body."""

    async def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """Refuse a request by its head, before its body is read; return None to admit it."""
        ...

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer an admitted request."""
        ...


@dataclass(eq=False, slots=True)
class _Connection:
    """Accepted connection; `last` is set once no further request will be read from it."""

    stream: SocketStream
    place: Place
    answering: bool = False
    last: bool = False


class HttpServer:
    """HTTP server for one handler, with one task per connection below `run`."""

    def __init__(
        self, listener: Listener[SocketStream], handler: HttpHandler, context: ServerContext
    ) -> None:
        self._listener = listener
        self._handler = handler
        self._context = context
        self._connections: set[_Connection] = set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, which ends the connections."""
        task_status.started()
        await accept_all(self._listener, Places(_MAX_CONNECTIONS, _MAX_OF_ONE_PEER), self._serve)

    def close_connections(self) -> None:
        """End all connections; those that are answering end after the answer."""
        for connection in self._connections:
            connection.last = True
            if not connection.answering:
                connection.place.scope.cancel()

    async def _serve(self, stream: SocketStream, place: Place) -> None:
        connection = _Connection(stream, place)
        self._connections.add(connection)
        try:
            await self._context.guarded(partial(self._converse, connection))
        finally:
            self._connections.discard(connection)

    async def _converse(self, connection: _Connection) -> None:
        protocol = h11.Connection(h11.SERVER)
        try:
            while await self._exchange(connection, protocol):
                protocol.start_next_cycle()
        except h11.RemoteProtocolError:
            with suppress(anyio.BrokenResourceError, TimeoutError), anyio.fail_after(_WRITE_S):
                await connection.stream.send(_MALFORMED)
        except (TimeoutError, anyio.BrokenResourceError, anyio.EndOfStream):
            pass

    async def _exchange(self, connection: _Connection, protocol: h11.Connection) -> bool:
        """Answer one request; return whether another may follow on the connection."""
        request = await _receive_head(protocol, connection.stream)
        if request is None:
            return False
        connection.answering = True
        response = await self._answer(request, connection, protocol)
        if response is None:
            return False
        data = _encode(protocol, request, response)
        with anyio.fail_after(_WRITE_S):
            await connection.stream.send(data)
        connection.answering = False
        return not connection.last and protocol.our_state is h11.DONE and protocol.their_state is h11.DONE

    async def _answer(
        self, request: HttpRequest, connection: _Connection, protocol: h11.Connection
    ) -> HttpResponse | None:
        """Answer the request; return None if the client left before the end of its body.

        The body is kept only if the request is admitted.
        """
        refusal = await self._handler.refuse(request)
        if refusal is not None:
            remains = await _drop_body(protocol, connection.stream)
            return refusal if remains else None
        connection.place.is_settled = True
        complete = await _receive_body(protocol, connection.stream, request)
        return None if complete is None else await self._handler.handle(complete)


async def _receive_head(protocol: h11.Connection, stream: SocketStream) -> HttpRequest | None:
    with anyio.fail_after(_IDLE_S):
        event = await _next_event(protocol, stream)
    if not isinstance(event, h11.Request):
        return None
    names = {name for name, _ in event.headers}
    if {b"content-length", b"transfer-encoding"} <= names:  # proxies disagree about the end of such a body
        raise h11.RemoteProtocolError("a request must not have both Content-Length and Transfer-Encoding")
    peer = stream.extra(SocketAttribute.remote_address, None)  # noqa: S610 - not Django
    local = stream.extra(SocketAttribute.local_address, None)  # noqa: S610 - not Django
    if peer is None or local is None:  # the client has reset the connection
        return None
    ends = [Endpoint.of(str(each[0]), int(each[1])).address for each in (peer, local)]
    return _request(event, *ends)


async def _receive_body(
    protocol: h11.Connection, stream: SocketStream, request: HttpRequest
) -> HttpRequest | None:
    """Read the body and return the complete request; None if the client left."""
    body: bytearray | None = bytearray()
    with anyio.fail_after(_READ_S):
        while not isinstance(part := await _next_event(protocol, stream), h11.EndOfMessage):
            if isinstance(part, h11.Data) and body is not None:
                body += part.data
                body = body if len(body) <= _BODY_LIMIT_BYTES else None
            elif isinstance(part, h11.ConnectionClosed):
                return None
    return replace(request, body=None if body is None else bytes(body))


async def _drop_body(protocol: h11.Connection, stream: SocketStream) -> bool:
    """Read and discard a body of limited size; return whether the client is still connected.

    The rest of a larger body stays unread, so the connection ends after the answer.
    """
    size_bytes = 0
    with anyio.fail_after(_READ_S):
        while size_bytes <= _DROP_LIMIT_BYTES:
            part = await _next_event(protocol, stream)
            if isinstance(part, h11.EndOfMessage):
                return True
            if isinstance(part, h11.ConnectionClosed):
                return False
            size_bytes += len(part.data) if isinstance(part, h11.Data) else 0
    return True


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


def _request(event: h11.Request, peer: str, local: str) -> HttpRequest:
    target = event.target.decode("latin-1")
    path, _, query = target.partition("?")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    given = dict(reversed(parse_qsl(query, keep_blank_values=True)))
    return HttpRequest(event.method.decode("latin-1"), unquote(path), given, headers, b"", peer, local)


def _encode(protocol: h11.Connection, request: HttpRequest, response: HttpResponse) -> bytes:
    headers = [*response.headers]
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

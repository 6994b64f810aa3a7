"""The server: one port for WebSocket and HTTP, whose sockets are all told when it ends."""

import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from email.utils import formatdate

import anyio
import uvicorn
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_core.config import ServerConfig
from agent_core.rpc.connections import ConnectionLimits, guarded_protocol
from agent_core.rpc.frames import SIZE_LIMIT, SizeLimit, socket_protocol
from agent_core.rpc.listener import bind, tls_context
from agent_core.rpc.origin import origin_allowed
from agent_core.rpc.sessions import Sessions

__all__ = ("RpcServer",)

_LOG = logging.getLogger("camera_agent.rpc")
#: Whole seconds, as uvicorn wants them: what sessions and downloads get to end in.
_GRACE_S = 2
#: Downloads are cut this much before, so that they end in our code and not by a cancellation that is logged as a crash.
_HTTP_GRACE_S = 1.5
_UNSUPPORTED_DATA = 1003


class RpcServer:
    """Serves JSON-RPC at `/ws` and gives every other request to `http`."""

    def __init__(self, config: ServerConfig, sessions: Sessions, http: ASGIApp) -> None:
        self._config = config
        self._front = _Front(config, sessions, http)
        self._port: int | None = None

    @property
    def port(self) -> int:
        """The port it listens on; RuntimeError before it does."""
        if self._port is None:
            raise RuntimeError("the server does not listen yet")
        return self._port

    @property
    def scheme(self) -> str:
        return "wss" if self._config.tls_certificate else "ws"

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; `started` when it listens.

        On the way out every socket is closed with code 1012 and what runs has two seconds to end.

        Raises:
            StartFailed: the port, the host or the certificate cannot be used.
        """
        tls = tls_context(self._config.tls_certificate, self._config.tls_key)
        sockets = bind(self._config.host, self._config.port)
        self._port = self._front.port = int(sockets[0].getsockname()[1])
        server = _Server(_uvicorn_config(self._config, self._front, tls), self._front)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_serve_shielded, server, sockets)
            try:
                await server.listening.wait()
                task_status.started()
                await anyio.sleep_forever()
            finally:
                server.stop()


async def _serve_shielded(server: "_Server", sockets: Sequence[socket.socket]) -> None:
    """Cancelling uvicorn drops every socket (1006) with a traceback each; so it is asked to end instead."""
    try:
        with anyio.CancelScope(shield=True):
            await server.serve(list(sockets))
    finally:
        for each in sockets:
            each.close()


def _uvicorn_config(config: ServerConfig, app: ASGIApp, tls: object) -> uvicorn.Config:
    limits = ConnectionLimits(
        config.max_connections, config.max_connections_per_address, config.first_request_s
    )
    return uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws=socket_protocol(config.max_unauthenticated_message_bytes),
        ws_max_size=config.max_message_bytes,
        ws_ping_interval=config.ping_interval_s,
        ws_ping_timeout=config.ping_interval_s,
        # Compression costs memory and CPU a socket and would let a small frame unfold to the size limit.
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_context_factory=(lambda _config, _default: tls) if tls is not None else None,  # type: ignore[arg-type,return-value]
    )


class _Server(uvicorn.Server):
    """uvicorn as a guest: no signal handlers, no tick ten times a second."""

    def __init__(self, config: uvicorn.Config, front: "_Front") -> None:
        super().__init__(config)
        self.listening = anyio.Event()
        self._stopping = anyio.Event()
        self._front = front

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        self.listening.set()
        await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._front.cut_requests, _HTTP_GRACE_S)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.abort()  # A peer that does not read would keep its socket for ever.


class _Front:
    """The ASGI application: sorts sockets from requests, and turns strangers away."""

    def __init__(self, config: ServerConfig, sessions: Sessions, http: ASGIApp) -> None:
        self._config = config
        self._sessions = sessions
        self._http = http
        self._requests: set[anyio.CancelScope] = set()
        self.port = config.port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    async def cut_requests(self, after_s: float) -> None:
        await anyio.sleep(after_s)
        for request in self._requests:
            request.cancel()

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                date = (b"date", formatdate(usegmt=True).encode())
                message = {**message, "headers": [*message.get("headers", ()), date]}
            await send(message)

        with anyio.CancelScope() as cut:
            self._requests.add(cut)
            try:
                await self._http(scope, receive, dated)
            finally:
                self._requests.discard(cut)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        status = self._refusal(scope)
        if status is not None:
            await _refuse(send, *status)
            return
        await send({"type": "websocket.accept"})
        client = scope.get("client")
        stream = _SocketStream(receive, send, scope["state"][SIZE_LIMIT])
        await self._sessions.serve(stream, client[0] if client else "")

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if scope["path"] != "/ws":
            return 404, "The WebSocket is at /ws.\n"
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        here = scope.get("server")
        own_hosts = (self._config.host, *((here[0],) if here else ()))
        allowed = all(
            origin_allowed(
                origin, allowed=self._config.allowed_origins, own_hosts=own_hosts, own_port=self.port
            )
            for origin in origins
        )
        if allowed:
            return None
        _LOG.warning(
            "a web page of the origin %.100r was refused; server.allowed_origins can list it", origins[0]
        )
        return 403, "Pages of this origin may not connect; server.allowed_origins lists those that may.\n"


class _SocketStream:
    """An accepted WebSocket as a stream of texts."""

    def __init__(self, receive: Receive, send: Send, size_limit: SizeLimit) -> None:
        self._receive = receive
        self._send = send
        self.lift_size_limit = size_limit.lift
        self.restore_size_limit = size_limit.restore

    async def receive(self) -> str:
        message = await self._receive()
        if message["type"] != "websocket.receive":
            raise anyio.EndOfStream
        text = message.get("text")
        if not isinstance(text, str):
            with contextlib.suppress(anyio.BrokenResourceError):
                await self._try(
                    {"type": "websocket.close", "code": _UNSUPPORTED_DATA, "reason": "text frames only"}
                )
            raise anyio.EndOfStream
        return text

    async def send(self, text: str) -> None:
        await self._try({"type": "websocket.send", "text": text})

    async def _try(self, message: Message) -> None:
        try:
            await self._send(message)
        except (OSError, RuntimeError) as error:  # uvicorn: gone, or closed by us just now
            raise anyio.BrokenResourceError from error


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": text.encode()})

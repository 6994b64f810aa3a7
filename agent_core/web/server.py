"""Server of the agent's port, for WebSocket and HTTP."""

import contextlib
import logging
from collections.abc import Callable
from contextlib import ExitStack
from email.utils import formatdate
from functools import lru_cache
from ssl import SSLContext
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent_core.base.descriptors import descriptor_limit
from agent_core.base.socket_place import SocketPlace
from agent_core.config import ServerConfig
from agent_core.rpc.sessions import Sessions
from agent_core.web.acceptor import Door, LocalDoor
from agent_core.web.engine import Engine
from agent_core.web.frames import text_frame
from agent_core.web.listener import bind, tls_context
from agent_core.web.log_limit import limit_repetitions
from agent_core.web.origin import origin_allowed
from agent_core.web.slots import SlotLimits, Slots

if TYPE_CHECKING:
    from pathlib import Path

    from agent_core.web.socket_protocol import Trust

__all__ = ("LazyApp", "RpcServer")

_LOG = logging.getLogger("camera_agent.rpc.door")
#: Logs whose messages unauthenticated peers can cause.
_STRANGERS_LOGS = ("camera_agent.rpc.door", "uvicorn.error")
_UNSUPPORTED_DATA = 1003
#: Frames kept while they are sent: an event feeds at most three topics, and several events may follow each other.
_FRAMES_KEPT = 16
_FEWER = (
    "only %d instead of %d connections are allowed, because this process may have only %d files open;"
    " raise LimitNOFILE of its unit, or `ulimit -n`"
)
_NO_LOCAL_SOCKET = (
    "cannot create the socket %s (%s); the command line on this host will use the port instead;"
    " set storage.runtime_dir to a short path on a local file system"
)
#: For the command line on this host: a process of this user could do worse than fill them.
_LOCAL_SLOTS = SlotLimits(total=64, per_address=64, anonymous=64)


class RpcServer:
    """Server of JSON-RPC at `/ws`; passes every other request to `http`.

    Args:
        config: the section `server`.
        sessions: serve the WebSockets.
        http: an ASGI application.
        local: the place of a unix socket to listen on as well, for the command line on this host; its connections
            are counted separately. None for no such socket.
        descriptors: limit of open files of this process, which bounds the number of connections; None reads the
            process's own.
    """

    def __init__(
        self,
        config: ServerConfig,
        sessions: Sessions,
        http: ASGIApp,
        *,
        local: SocketPlace | None = None,
        descriptors: int | None = None,
    ) -> None:
        self._config = config
        self._sessions = sessions
        self._front = _Front(config, sessions, http)
        self._local = local
        self._descriptors = descriptors
        self._slots = Slots(self._slot_limits())
        self._engine: Engine | None = None
        self._port: int | None = None
        self._has_local_socket = False

    @property
    def port(self) -> int:
        """The port that it listens on. Raises RuntimeError before it listens."""
        if self._port is None:
            raise RuntimeError("the server is not listening yet")
        return self._port

    def configure(self, config: ServerConfig) -> None:
        """Apply other limits and origins at once; host, port and certificate stay until the server runs again.

        Connections that are open stay open, and keep the times that they began with.
        """
        self._config = config
        self._front.configure(config)
        self._slots.configure(self._slot_limits())
        if self._engine is not None:
            self._engine.configure(config)

    def _slot_limits(self) -> SlotLimits:
        """Return the configured limits, lowered to what the process may have open; log if they are."""
        config = self._config
        wanted = SlotLimits(
            config.max_connections, config.max_connections_per_address, config.max_unauthenticated_connections
        )
        descriptors = descriptor_limit() if self._descriptors is None else self._descriptors
        limits = wanted.within(descriptors)
        if limits.total < wanted.total:
            _LOG.warning(_FEWER, limits.total, wanted.total, descriptors)
        return limits

    @property
    def scheme(self) -> str:
        return "wss" if self._config.tls_certificate else "ws"

    @property
    def local_socket(self) -> "Path | None":
        """The unix socket that it listens on; None if there is none."""
        return self._local.path if self._local is not None and self._has_local_socket else None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; report `started` when it listens.

        On cancellation every socket is closed with code 1012, and running calls have two seconds to end.

        Raises:
            StartFailed: the port, the host or the certificate is unusable.
        """
        tls = tls_context(self._config.tls_certificate, self._config.tls_key)
        with ExitStack() as held:
            held.enter_context(limit_repetitions(_STRANGERS_LOGS, anyio.current_time))
            doors = self._open_doors(tls, held)
            local = self._open_local(held)
            server = self._engine = Engine(
                self._config, self._front, doors, local=local, cut_requests=self._front.cut_requests
            )
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_serve_shielded, server)
                try:
                    await server.listening.wait()
                    task_status.started()
                    await self._sessions.run()
                finally:
                    server.stop()

    def _open_doors(self, tls: SSLContext | None, held: ExitStack) -> list[Door]:
        sockets = bind(self._config.host, self._config.port)
        for each in sockets:
            held.enter_context(each)
        self._port = self._front.port = int(sockets[0].getsockname()[1])
        return [Door(each, self._slots, tls) for each in sockets]

    def _open_local(self, held: ExitStack) -> LocalDoor | None:
        if self._local is None:
            return None
        try:
            listening = held.enter_context(self._local.listen())
        except OSError as error:
            _LOG.warning(_NO_LOCAL_SOCKET, self._local.path, (error.strerror or str(error)).lower())
            return None
        held.callback(self._local.release)
        self._has_local_socket = True
        return LocalDoor(self._local, Slots(_LOCAL_SLOTS), listening)


class LazyApp:
    """ASGI application that `make` creates at the first request.

    The agent listens without the HTTP framework; with WebSocket clients only, it never loads it.
    """

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self._make = make
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = self._make()
        await self._app(scope, receive, send)


async def _serve_shielded(server: Engine) -> None:
    """Run uvicorn shielded from cancellation, which would drop each socket (1006) with a traceback."""
    with anyio.CancelScope(shield=True):
        await server.serve([])


class _Front:
    """ASGI application that routes WebSockets and requests, and refuses foreign origins."""

    def __init__(self, config: ServerConfig, sessions: Sessions, http: ASGIApp) -> None:
        self._config = config
        self._sessions = sessions
        self._http = http
        self._requests: set[anyio.CancelScope] = set()
        self.port = config.port
        #: The text of an event is sent to one client after another.
        self._frame_of = lru_cache(_FRAMES_KEPT)(text_frame)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._request(scope, receive, send)

    def configure(self, config: ServerConfig) -> None:
        """Judge handshakes that come from now on by other origins."""
        self._config = config

    def cut_requests(self) -> None:
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
        trust: Trust = scope["state"]["trust"]
        await self._sessions.serve(_SocketStream(receive, send, trust, self._frame_of), trust.address)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        if scope["path"] != "/ws":
            return 404, "The WebSocket is at /ws.\n"
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        here = scope.get("server")
        own_hosts = (self._config.host, *((here[0],) if here else ()))
        allowed = self._config.allowed_origins
        for origin in origins:
            if not origin_allowed(origin, allowed=allowed, own_hosts=own_hosts, own_port=self.port):
                _LOG.warning(
                    "refused a web page of the origin %.200a; to allow it, add it to server.allowed_origins",
                    origin,
                )
                return (
                    403,
                    "This origin is not allowed; server.allowed_origins lists the allowed ones.\n",
                )
        return None


class _SocketStream:
    """Stream of messages over an accepted WebSocket."""

    def __init__(
        self, receive: Receive, send: Send, trust: "Trust", frame_of: Callable[[str], bytes]
    ) -> None:
        self._receive = receive
        self._send = send
        self._frames = trust.frames
        self._frame_of = frame_of
        self.admit = trust.admit
        self.dismiss = trust.dismiss
        self.revoke = trust.revoke

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

    @property
    def takes_more(self) -> bool:
        return self._frames.takes_more

    def send_now(self, text: str) -> None:
        self._frames.send_frame(self._frame_of(text))

    async def send(self, text: str) -> None:
        await self._try({"type": "websocket.send", "text": text})

    async def _try(self, message: Message) -> None:
        try:
            await self._send(message)
        except (
            OSError,
            RuntimeError,
        ) as error:  # raised by uvicorn if the peer has left or the socket was just closed
            raise anyio.BrokenResourceError from error


async def _refuse(send: Send, status: int, text: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": text.encode()})

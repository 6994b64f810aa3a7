"""uvicorn server whose connections are accepted, watched and ended by the agent."""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence

import anyio
import uvicorn
from starlette.types import ASGIApp

from agent_core.config import ServerConfig
from agent_core.web.acceptor import Acceptor, Door, LocalDoor
from agent_core.web.guard import DoorProtocol
from agent_core.web.peer import Peer
from agent_core.web.socket_protocol import SocketProtocol

__all__ = ("Engine",)

_LOG = logging.getLogger("camera_agent.rpc.door")

#: Time for sessions and requests to end.
_GRACE_S = 2.0
#: Downloads are cut earlier, in our code: uvicorn logs a traceback for a task that it cancels itself.
_HTTP_GRACE_S = 1.5
#: A peer that accepts less of its pending data counts as not reading.
_LEAST_BYTES_PER_S = 1024


def _settings(config: ServerConfig, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
        ws_max_size=config.max_message_bytes,
        ws_ping_interval=config.ping_interval_s,
        ws_ping_timeout=config.ping_interval_s,
        # Compression costs memory and CPU per socket, and lets a small frame expand to the size limit.
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


class Engine(uvicorn.Server):
    """uvicorn embedded in the agent: without signal handlers, periodic tick or sockets of its own.

    Args:
        limits: the section `server`.
        app: the application to serve.
        doors: the listening sockets; closed at the end.
        local: the unix socket for the command line on this host; closed at the end.
        cut_requests: ends the requests that are still running when their time is over.
    """

    def __init__(
        self,
        limits: ServerConfig,
        app: ASGIApp,
        doors: Sequence[Door],
        *,
        local: LocalDoor | None,
        cut_requests: Callable[[], None],
    ) -> None:
        super().__init__(_settings(limits, app))
        self.listening = anyio.Event()
        self._stopping = anyio.Event()
        self._changed = anyio.Event()
        self._limits = limits
        self._cut_requests = cut_requests
        self._doors = doors
        self._local = local
        self._acceptor = Acceptor(self._protocol, tls_deadline_s=limits.first_request_s)

    def configure(self, limits: ServerConfig) -> None:
        """Apply other sizes of messages to all connections, and other times to those that come from now on."""
        self._limits = limits
        self._changed.set()
        self.config.ws_max_size = limits.max_message_bytes
        self.config.ws_ping_interval = self.config.ws_ping_timeout = limits.ping_interval_s
        self._acceptor.tls_deadline_s = limits.first_request_s
        for connection in list(self.server_state.connections):
            if isinstance(connection, SocketProtocol):
                connection.size_limit.configure(
                    limits.max_message_bytes, limits.max_unauthenticated_message_bytes
                )

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = []
        self.started = True

    async def main_loop(self) -> None:
        async with anyio.create_task_group() as tasks:
            for door in self._doors:
                tasks.start_soon(self._acceptor.run, door, tasks)
            if self._local is not None:
                tasks.start_soon(self._acceptor.keep, self._local, tasks)
            tasks.start_soon(self._watch)
            self.listening.set()
            await self._stopping.wait()
            tasks.cancel_scope.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for door in self._doors:
            door.listening.close()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cut)
            await super().shutdown(sockets)
            tasks.cancel_scope.cancel()
        self._drop_all()

    def _protocol(self, peer: Peer) -> DoorProtocol:
        return DoorProtocol(
            self.config,
            self.server_state,
            peer,
            first_request_s=self._limits.first_request_s,
            untrusted_bytes=self._limits.max_unauthenticated_message_bytes,
        )

    async def _watch(self) -> None:
        """Drop peers that do not read: a graceful close would wait for them forever."""
        while True:
            stall_s = self._limits.stall_s
            least_bytes = int(_LEAST_BYTES_PER_S * stall_s)
            self._changed = changed = anyio.Event()
            with anyio.move_on_after(stall_s) as pause:
                await changed.wait()
            if not pause.cancelled_caught:
                continue
            for connection in list(self.server_state.connections):
                connection.app_state["peer"].look(connection.transport, least_bytes)

    async def _cut(self) -> None:
        """End requests and connections that have outlived their time, then any task that is left.

        This replaces uvicorn's own timeout. Two independent timers are due together after a stall of the event loop;
        a request cancelled by both at once would end with a logged traceback.
        """
        await anyio.sleep(_HTTP_GRACE_S)
        self._cut_requests()
        self._drop_all()
        await anyio.sleep(_GRACE_S - _HTTP_GRACE_S)
        left = tuple(self.server_state.tasks)
        if left:
            _LOG.error(
                "%d requests or sessions did not end within %g s and are cancelled", len(left), _GRACE_S
            )
        for task in left:
            task.cancel()
        self.force_exit = True

    def _drop_all(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

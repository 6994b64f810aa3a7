"""uvicorn, with its connections accepted, watched and ended by us."""

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

__all__ = ("Engine",)

_LOG = logging.getLogger("camera_agent.rpc.door")

#: Time that sessions and requests have to end.
_GRACE_S = 2.0
#: Downloads are cut this much before, so that they end in our code and not by a cancellation that is logged as a crash.
_HTTP_GRACE_S = 1.5
#: Who takes less than this of what waits for it does not read.
_LEAST_BYTES_PER_S = 1024


def _settings(config: ServerConfig, app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="h11",
        ws="websockets-sansio",
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
    )


class Engine(uvicorn.Server):
    """uvicorn as a guest: no signal handlers, no tick ten times a second, no sockets of its own.

    Args:
        limits: the section `server`.
        app: the application that it serves.
        doors: the listening sockets, which it closes when it ends.
        local: the one for the command line of this host, likewise.
        cut_requests: ends the requests that are still answered when their time is over.
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
        self._limits = limits
        self._cut_requests = cut_requests
        self._doors = doors
        self._local = local
        self._acceptor = Acceptor(self._protocol, tls_deadline_s=limits.first_request_s)

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
        """Drop who does not read: closing in peace would wait for such a peer for ever."""
        least_bytes = int(_LEAST_BYTES_PER_S * self._limits.stall_s)
        while True:
            await anyio.sleep(self._limits.stall_s)
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
                "%d requests or sessions did not end within %g s; cancelling them", len(left), _GRACE_S
            )
        for task in left:
            task.cancel()
        self.force_exit = True

    def _drop_all(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

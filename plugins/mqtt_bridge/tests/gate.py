"""Way between the bridge and its broker that a test can cut, keep closed, or let swallow what the broker answers."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream, TaskGroup

__all__ = ("Gate", "open_gate")


class Gate:
    """Relay on a port of its own.

    Attributes:
        port: its port.
        is_open: False refuses new connections.
        swallows: True drops all that the broker sends, such as acknowledgements.
        connections: connections so far.
    """

    def __init__(self, target: int, port: int) -> None:
        self._target = target
        self.port = port
        self.is_open = True
        self.swallows = False
        self.connections = 0
        self._scopes: set[anyio.CancelScope] = set()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """End all connections, as a router that restarts does."""
        for scope in self._scopes:
            scope.cancel()

    async def relay(self, client: SocketStream) -> None:
        async with client:
            raw = client.extra(SocketAttribute.raw_socket)  # noqa: S610 - anyio's
            # Nothing that waits in the socket arrives after a cut.
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            if not self.is_open:
                return
            self.connections += 1
            try:
                async with await anyio.connect_tcp("127.0.0.1", self._target) as broker:
                    async with anyio.create_task_group() as tasks:
                        self._scopes.add(tasks.cancel_scope)
                        tasks.start_soon(self._pump, client, broker, False, tasks)
                        tasks.start_soon(self._pump, broker, client, True, tasks)
            except OSError:
                return

    async def _pump(self, source: ByteStream, sink: ByteStream, is_answer: bool, tasks: TaskGroup) -> None:
        try:
            async for data in source:
                if not (is_answer and self.swallows):
                    await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass
        self._scopes.discard(tasks.cancel_scope)
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def open_gate(target: int) -> AsyncIterator[Gate]:
    """Run a gate before the port `target`."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        gate = Gate(target, listener.extra(SocketAttribute.local_port))  # noqa: S610 - anyio's
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, gate.relay)
            yield gate
            tasks.cancel_scope.cancel()

"""Reverse proxy between the browser and an agent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ("Proxy", "proxy")


class Proxy:
    """Serves the agent that it leads to below a path, and nothing else.

    Attributes:
        origin: of its addresses; the agent's `server.allowed_origins` has it.
        url: address below which the agent is.
    """

    def __init__(self, origin: str, path: str) -> None:
        self.origin = origin
        self.url = origin + path
        self._path = path.encode()
        self._agent: tuple[str, int] | None = None
        self._scopes: set[anyio.CancelScope] = set()

    def lead_to(self, agent_url: str) -> None:
        """Pass requests on to this agent from now on."""
        host, _, port = agent_url.removeprefix("http://").partition(":")
        self._agent = host, int(port)

    def cut(self) -> None:
        """End all connections, and those that are made until it leads to an agent again."""
        self._agent = None
        for each in self._scopes:
            each.cancel()

    async def serve(self, client: anyio.abc.SocketStream) -> None:
        """Pass one request on, or one WebSocket: the agent closes a connection that is not to be kept."""
        async with client:
            try:
                await self._serve(client)
            except (OSError, anyio.IncompleteRead, anyio.BrokenResourceError):
                return  # the agent or the browser has gone

    async def _serve(self, client: anyio.abc.SocketStream) -> None:
        received = BufferedByteReceiveStream(client)
        head = await received.receive_until(b"\r\n\r\n", 65536)
        first, _, fields = head.partition(b"\r\n")
        method, target, version = first.split(b" ")
        if not target.startswith(self._path + b"/"):
            await client.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        if self._agent is None:
            return
        lines = [each for each in fields.split(b"\r\n") if each.lower() != b"connection: keep-alive"]
        if not any(each.lower().startswith(b"upgrade:") for each in lines):
            lines.append(b"Connection: close")
        begun = b" ".join((method, target.removeprefix(self._path), version))
        async with await anyio.connect_tcp(*self._agent) as agent:
            await agent.send(b"\r\n".join((begun, *lines)) + b"\r\n\r\n" + received.buffer)
            async with anyio.create_task_group() as tasks:
                self._scopes.add(tasks.cancel_scope)
                tasks.start_soon(_pump, client, agent, tasks.cancel_scope)
                tasks.start_soon(_pump, agent, client, tasks.cancel_scope)
            self._scopes.discard(tasks.cancel_scope)


@asynccontextmanager
async def proxy(path: str = "") -> AsyncIterator[Proxy]:
    """Run a proxy that does not lead to an agent yet."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
    made = Proxy(f"http://127.0.0.1:{port}", path)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, made.serve)
        yield made
        tasks.cancel_scope.cancel()


async def _pump(
    source: anyio.abc.SocketStream, target: anyio.abc.SocketStream, scope: anyio.CancelScope
) -> None:
    """Copy bytes until either side ends."""
    try:
        async for data in source:
            await target.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    scope.cancel()

"""TCP proxy in front of a media server's API that counts what it forwards."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc

#: The first line of a request; the agent sends each request's head at once.
_REQUEST = re.compile(rb"(?:GET|POST|PATCH|DELETE) (\S+) HTTP/1\.1\r\n")
_GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, OSError)


class CountingProxy:
    """`paths` are the requests that reached the server, in order; `size_bytes` all that was sent to it."""

    def __init__(self, port: int, server: tuple[str, int]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.paths: list[str] = []
        self.size_bytes = 0
        self._server = server

    async def pass_on(self, client: anyio.abc.SocketStream) -> None:
        """One connection, until either side ends it."""
        try:
            async with client, await anyio.connect_tcp(*self._server) as server:
                async with anyio.create_task_group() as tg:
                    tg.start_soon(self._answers, server, client, tg.cancel_scope)
                    await self._requests(client, server)
                    tg.cancel_scope.cancel()
        except* _GONE:
            pass

    async def _requests(self, client: anyio.abc.SocketStream, server: anyio.abc.SocketStream) -> None:
        async for data in client:
            self.size_bytes += len(data)
            self.paths += [found.decode() for found in _REQUEST.findall(data)]
            await server.send(data)

    async def _answers(
        self, server: anyio.abc.SocketStream, client: anyio.abc.SocketStream, scope: anyio.CancelScope
    ) -> None:
        async for data in server:
            await client.send(data)
        scope.cancel()


@asynccontextmanager
async def counting_proxy(host: str, port: int) -> AsyncIterator[CountingProxy]:
    """A proxy on a free port, in front of `host` and `port`."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    own = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - this is no Django
    proxy = CountingProxy(own, (host, port))
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(listener.serve, proxy.pass_on)
        yield proxy
        tg.cancel_scope.cancel()

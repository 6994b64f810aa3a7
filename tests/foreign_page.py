"""Page of another origin, as a dashboard or an attacker has one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ("foreign_page",)


@asynccontextmanager
async def foreign_page(html: str, host: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve a page at every path of this address, and yield the port. Of 127.0.0.1, `localhost` is another site."""
    body = f"<!doctype html>{html}".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            try:
                await BufferedByteReceiveStream(client).receive_until(b"\r\n\r\n", 65536)
                await client.send(head.encode() + body)
            except (anyio.IncompleteRead, anyio.BrokenResourceError):
                return  # browsers connect in advance, and do not always ask

    listener = await anyio.create_tcp_listener(local_host=host)
    port: int = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield port
        tasks.cancel_scope.cancel()

"""Page of another origin, as a dashboard has one, that shows images of an agent."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from html import escape

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

__all__ = ("other_page",)


@asynccontextmanager
async def other_page(images: Sequence[str]) -> AsyncIterator[str]:
    """Serve a page with these images at another site than 127.0.0.1, and return its address."""
    tags = "".join(f'<img id="i{number}" src="{escape(each)}">' for number, each in enumerate(images))
    body = f"<!doctype html><title>Dashboard</title>{tags}".encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    async def serve(client: anyio.abc.SocketStream) -> None:
        async with client:
            await BufferedByteReceiveStream(client).receive_until(b"\r\n\r\n", 65536)
            await client.send(head.encode() + body)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - no Django
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        yield f"http://localhost:{port}/"
        tasks.cancel_scope.cancel()

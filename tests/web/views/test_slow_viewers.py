"""Viewers that read nothing for a while: they get the newest picture then, and hold nothing up."""

import io
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from PIL import Image

from agent_core.plugin.jpeg import mend
from agent_core.testing.scripted_producer import a_jpeg
from tests.web.views.rig import LIMIT_S, PATH, Box, Part, box, request_of, some, view


async def newest_after_silence(it: Box, slow: "Slow", path: str, pictures: list[bytes]) -> int:
    """Show `pictures` to a viewer that reads each; return how much `slow` then reads until it has the newest one."""
    async with view(it, path) as fast, anyio.create_task_group() as tasks:
        await some(fast, 1)
        it.stage.is_playing = False
        seen: list[bytes] = []
        tasks.start_soon(collect, fast, seen)
        for number, picture in enumerate(pictures, 1):
            it.stage.offer(picture)
            while len(seen) < number:  # it gets each one
                await anyio.sleep(0.001)
        assert len(set(seen)) == len(pictures)
        received = await read_until(slow, seen[-1])
        tasks.cancel_scope.cancel()
    return len(received)


async def test_a_client_that_reads_nothing_for_long_gets_the_newest_picture_then_and_delays_nobody() -> None:
    pictures = [large(shade) for shade in range(20, 60)]
    async with box() as it, unread(it) as slow:
        received_bytes = await newest_after_silence(it, slow, PATH, pictures)
    assert received_bytes < 8 * len(pictures[0])  # what the kernel had taken, and the newest


async def test_over_tls_it_gets_the_newest_picture_too(certificate: tuple[Path, Path]) -> None:
    pictures = [large(shade) for shade in range(20, 60)]
    pem, key = certificate
    trusted = ssl.create_default_context(cafile=str(pem))
    async with box({"server": {"tls_certificate": pem, "tls_key": key}}, verify=trusted) as it:
        port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
        async with await anyio.connect_tcp(
            "127.0.0.1", port, ssl_context=trusted, tls_standard_compatible=False
        ) as client:
            await client.send(request_of(it))
            received_bytes = await newest_after_silence(it, client.receive, PATH, pictures)
    assert received_bytes < 8 * len(pictures[0])


async def test_of_a_width_it_gets_the_newest_picture_too() -> None:
    pictures = [noise(seed) for seed in range(40)]
    path = f"{PATH}?width=400"
    async with box() as it, unread(it, path) as slow:
        received_bytes = await newest_after_silence(it, slow, path, pictures)
    assert received_bytes < len(pictures) * 40_000 / 2  # each of them has more


def noise(seed: int) -> bytes:
    """A JPEG of 500x400 pixels that no encoder makes small."""
    pixels = random.Random(seed).randbytes(500 * 400)
    target = io.BytesIO()
    Image.frombytes("L", (500, 400), pixels).save(target, "JPEG", quality=90)
    return target.getvalue()


async def collect(parts: AsyncIterator[Part], seen: list[bytes]) -> None:
    """Note the large pictures: small ones, offered before, may still be under way."""
    async for part in parts:
        if len(part.data) > 10_000:
            seen.append(part.data)  # noqa: PERF401 - read while it grows


def large(shade: int) -> bytes:
    """A JPEG of half a megabyte that differs by its shade."""
    data = a_jpeg(shade=shade)
    comment = b"x" * 65_000
    segment = b"\xff\xfe" + (len(comment) + 2).to_bytes(2) + comment
    return mend(data[:2] + segment * 8 + data[2:]).data


#: Returns some bytes of a response, when asked to.
Slow = Callable[[], Awaitable[bytes]]


@asynccontextmanager
async def unread(it: Box, path: str = PATH) -> AsyncIterator[Slow]:
    """A client of the live view that reads nothing by itself, with a small receive buffer."""
    port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        client.connect(("127.0.0.1", port))
        client.setblocking(False)
        client.send(request_of(it, path))

        async def receive() -> bytes:
            await anyio.wait_readable(client)
            return client.recv(1 << 20)

        yield receive


async def read_until(receive: Slow, wanted: bytes) -> bytes:
    received = b""
    with anyio.fail_after(LIMIT_S):
        while wanted not in received:
            received += await receive()
    return received


async def test_a_client_that_reads_nothing_is_dropped() -> None:
    async with box({"server": {"stall_s": 0.2}}) as it, unread(it):
        with anyio.fail_after(LIMIT_S):
            while not it.stage.producer.streaming:
                await anyio.sleep(0.01)
            while it.stage.producer.streaming:
                it.stage.offer(large(100))
                await anyio.sleep(0.02)

"""Many viewers of one camera beside one that reads nothing: each gets every picture, and the memory stays bounded."""

import tracemalloc
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

import anyio
import anyio.abc
import pytest

from agent_core.plugin.jpeg import mend
from agent_core.testing.scripted_producer import a_jpeg
from tests.web.views.rig import Box, box

PATH = "/cameras/camera0/live.mjpeg"
VIEWERS = 50
PICTURE_BYTES = 2_000_000
COUNT = 6


def pictures() -> list[bytes]:
    """JPEGs of two megabytes, each told from the others by its last bytes."""
    made = []
    for number in range(COUNT):
        data = a_jpeg(shade=20 * number)
        comment = b"\xff\xfe" + (65_002).to_bytes(2) + number.to_bytes(2) + b"x" * 64_998
        made.append(mend(data[:2] + comment * (PICTURE_BYTES // len(comment)) + data[2:]).data)
    return made


class Viewer:
    """Client that counts pictures by their ends, and keeps no more than the last bytes."""

    def __init__(self, stream: anyio.abc.SocketStream, ends: list[bytes]) -> None:
        self._stream = stream
        self._ends = ends
        self._tail = b""
        #: Numbers of the pictures that have come whole.
        self.seen: list[int] = []

    async def run(self) -> None:
        while True:
            data = self._tail + await self._stream.receive(1 << 16)
            for number, end in enumerate(self._ends):
                if end in data and number not in self.seen:
                    self.seen.append(number)
            self._tail = data[-200:]


async def connected(it: Box, held: AsyncExitStack) -> anyio.abc.SocketStream:
    port = int(it.agent.url.rpartition(":")[2].partition("/")[0])
    stream = await held.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
    request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {it.bearer()['authorization']}\r\n\r\n"
    await stream.send(request.encode())
    return stream


async def until_all(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():
            await anyio.sleep(0.01)


@pytest.mark.timeout(180)
async def test_each_of_fifty_gets_every_picture_beside_one_that_reads_nothing() -> None:
    offered = pictures()
    # The end of a picture and what follows it, as far as it differs from picture to picture.
    ends = [each[-150:] for each in offered]
    assert len(set(ends)) == COUNT
    limits = {"max_live": 100, "max_live_per_camera": 100, "max_live_per_address": 100}
    async with box({"views": limits}) as it, AsyncExitStack() as held:
        it.stage.is_playing = False
        held.callback(tracemalloc.stop)
        async with anyio.create_task_group() as tasks:
            await connected(it, held)  # reads nothing
            viewers = [Viewer(await connected(it, held), ends) for _ in range(VIEWERS)]
            for each in viewers:
                tasks.start_soon(each.run)
            slots = it.agent.parts.server._slots
            await until_all(lambda: len(slots) > VIEWERS and slots.anonymous == 0)  # all have access
            await until_all(lambda: it.stage.producer.streaming)
            await anyio.wait_all_tasks_blocked()
            tracemalloc.start()
            for number, picture in enumerate(offered):
                it.stage.offer(picture)
                await until_all(partial(all_have, viewers, number))
            _, peak_bytes = tracemalloc.get_traced_memory()
            tasks.cancel_scope.cancel()
    assert all(each.seen == list(range(COUNT)) for each in viewers)
    assert peak_bytes < VIEWERS * PICTURE_BYTES


def all_have(viewers: list[Viewer], number: int) -> bool:
    return all(number in each.seen for each in viewers)

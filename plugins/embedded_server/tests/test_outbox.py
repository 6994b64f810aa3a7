from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import SocketStream

from embedded_server.rtsp.outbox import Outbox


@pytest.fixture
async def sockets() -> AsyncIterator[tuple[SocketStream, SocketStream]]:
    """Both ends of a connection: the near one, which writes, and the far one."""
    accepted: list[SocketStream] = []
    done = anyio.Event()
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:

        async def keep(stream: SocketStream) -> None:
            async with stream:
                accepted.append(stream)
                done.set()
                await anyio.sleep_forever()

        async with anyio.create_task_group() as tg:
            tg.start_soon(listener.serve, keep)
            port = listener.extra(anyio.abc.SocketAttribute.local_port)  # noqa: S610 - not Django
            async with await anyio.connect_tcp("127.0.0.1", port) as near:
                await done.wait()
                yield near, accepted[0]
            tg.cancel_scope.cancel()


async def test_the_queue_is_sent_in_order_before_the_end(
    sockets: tuple[SocketStream, SocketStream],
) -> None:
    near, far = sockets
    outbox = Outbox()
    for number in range(5):
        assert outbox.put_packet(bytes([number]))
    outbox.end()
    with anyio.fail_after(20):
        await outbox.run(near)
    assert await far.receive() == b"\0\1\2\3\4"
    assert outbox.sent_bytes == 5


async def test_a_full_queue_drops_packets_but_no_answers() -> None:
    outbox = Outbox(limit_packets=2)
    assert [outbox.put_packet(b"x") for _ in range(4)] == [True, True, False, False]
    outbox.put(b"answer")
    assert outbox.discarded == 2


async def test_a_reader_that_accepts_nothing_times_out(sockets: tuple[SocketStream, SocketStream]) -> None:
    near, _ = sockets
    outbox = Outbox(limit_packets=2000, write_timeout_s=0.2)
    for _ in range(2000):
        outbox.put_packet(bytes(60_000))
    with anyio.fail_after(10), pytest.raises(TimeoutError):
        await outbox.run(near)

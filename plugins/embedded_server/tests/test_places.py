"""Places for connections, a lack of descriptors, and clients that send faster than the server reads."""

import errno
import logging
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, cast

import anyio
import pytest
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup

from embedded_server.connections.places import Place, Places, accept_all


async def test_the_oldest_unsettled_connection_gives_way() -> None:
    places = Places(2)
    with ExitStack() as held:
        first, second, third = (held.enter_context(places.take(is_own=False)) for _ in range(3))
        assert first is not None
        assert second is not None
        assert third is not None
        assert [each.scope.cancel_called for each in (first, second, third)] == [True, False, False]
        second.is_settled = third.is_settled = True
        assert held.enter_context(places.take(is_own=False)) is None
        assert held.enter_context(places.take(is_own=True)) is not None


async def test_a_place_is_freed() -> None:
    places = Places(1)
    for _ in range(3):
        with places.take(is_own=False) as place:
            assert place is not None
            place.is_settled = True


class Short:
    """Listener that lacks a descriptor three times, then loses a client, then waits for ever."""

    def __init__(self) -> None:
        self.waits = anyio.Event()
        self._errors = [OSError(errno.EMFILE, "Too many open files")] * 3 + [ConnectionAbortedError()]

    async def serve(self, handler: Callable[[Any], Any], task_group: TaskGroup) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.waits.set()
        await anyio.sleep_forever()


async def _serve(stream: SocketStream, place: Place) -> None:
    raise AssertionError("there is no client to serve")


async def test_a_lack_of_descriptors_is_logged_once_and_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Short()
    with caplog.at_level(logging.ERROR):
        async with anyio.create_task_group() as tg:
            tg.start_soon(accept_all, cast("Listener[SocketStream]", listener), Places(1), _serve)
            with anyio.fail_after(20):
                await listener.waits.wait()
            tg.cancel_scope.cancel()
    assert len([each for each in caplog.records if "have to wait" in each.getMessage()]) == 1


async def _send_while_accepted(port: int, most_bytes: int) -> int:
    """Send until `most_bytes` are sent, or nothing has been accepted for one second."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setblocking(False)
        while sent < most_bytes:
            with anyio.move_on_after(1) as wait:
                await anyio.wait_writable(client)
            if wait.cancelled_caught:
                break
            sent += client.send(bytes(1 << 20))
    return sent


async def test_unread_data_stays_with_the_client() -> None:
    async def read_nothing(stream: SocketStream, place: Place) -> None:
        await anyio.sleep_forever()

    most_bytes = 256 << 20  # the kernel's buffers of both ends hold at most a tenth of it
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as tg:
        tg.start_soon(accept_all, listener, Places(1), read_nothing)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        sent = await _send_while_accepted(port, most_bytes)
        tg.cancel_scope.cancel()
    assert 0 < sent < most_bytes

"""Places for connections, a lack of descriptors, and clients that send faster than the server reads."""

import errno
import logging
import os
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from anyio.abc import Listener, SocketAttribute, SocketStream, TaskGroup

from embedded_server.connections.peers import Endpoint, Peers
from embedded_server.connections.places import Place, Places, accept_all


async def test_the_oldest_unsettled_connection_gives_way() -> None:
    places = Places(2, 2)
    with ExitStack() as held:
        first, second, third = (held.enter_context(places.take("a")) for _ in range(3))
        assert first is not None
        assert second is not None
        assert third is not None
        assert [each.scope.cancel_called for each in (first, second, third)] == [True, False, False]
        second.is_settled = third.is_settled = True
        assert held.enter_context(places.take("a")) is None
        assert held.enter_context(places.take("own", is_own=True)) is not None


async def test_a_place_is_freed() -> None:
    places = Places(1, 1)
    for _ in range(3):
        with places.take("a") as place:
            assert place is not None
            place.is_settled = True


async def test_one_peer_does_not_take_the_places_of_others() -> None:
    places = Places(4, 3)
    with ExitStack() as held:

        def takes(peer: str) -> Place | None:
            return held.enter_context(places.take(peer))

        lone = takes("lone")
        flood = [takes("flood") for _ in range(20)]
        assert lone is not None
        assert not lone.scope.cancel_called
        assert [place is not None and place.scope.cancel_called for place in flood] == [True] * 17 + [
            False
        ] * 3
        assert takes("late") is not None, "the peer with most unsettled connections gives way"
        assert not lone.scope.cancel_called


async def test_settled_connections_of_one_peer_leave_places_for_others() -> None:
    places = Places(4, 3)
    with ExitStack() as held:
        for _ in range(3):
            place = held.enter_context(places.take("reader"))
            assert place is not None
            place.is_settled = True
        assert held.enter_context(places.take("reader")) is None
        assert held.enter_context(places.take("other")) is not None


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::1", "2001:db8::2:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1", "fe80::2", False),
    ],
)
def test_the_share_of_a_peer_counts_its_network(first: str, second: str, same: bool) -> None:
    assert (Endpoint.of(first, 1).subscriber == Endpoint.of(second, 2).subscriber) is same


async def test_connections_that_wait_for_their_owner_are_bounded(tmp_path: Path) -> None:
    """A pipe without a writer stands in for the kernel's table: opening it blocks its reader."""
    table = tmp_path / "tcp"
    os.mkfifo(table)
    tables = {socket.AF_INET: table, socket.AF_INET6: tmp_path / "tcp6"}
    peers = Peers(ask=lambda _client, _server: None, tables=tables)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
    async with AsyncExitStack() as clients, listener, anyio.create_task_group() as tg:
        tg.start_soon(partial(accept_all, listener, Places(9, 9), _serve, waiting=Places(3, 3), peers=peers))
        streams = [
            await clients.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(8)
        ]
        with anyio.fail_after(20):
            for stream in streams[:5]:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
        tg.cancel_scope.cancel()
        with suppress(OSError):  # lets the thread go that waits for a writer
            os.close(os.open(table, os.O_WRONLY | os.O_NONBLOCK))


async def test_a_refused_connection_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def settle(stream: SocketStream, place: Place) -> None:
        place.is_settled = True
        await anyio.sleep_forever()

    peers = Peers(ask=lambda _client, _server: 12_345)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
    async with AsyncExitStack() as clients, listener, anyio.create_task_group() as tg:
        tg.start_soon(partial(accept_all, listener, Places(1, 1), settle, peers=peers))
        streams = [
            await clients.enter_async_context(await anyio.connect_tcp("127.0.0.1", port)) for _ in range(3)
        ]
        with anyio.fail_after(20):
            for stream in streams[1:]:
                with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                    await stream.receive()
        tg.cancel_scope.cancel()
    assert caplog.text.count("A connection of account 12345 is refused") == 1


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
            tg.start_soon(accept_all, cast("Listener[SocketStream]", listener), Places(1, 1), _serve)
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
        tg.start_soon(accept_all, listener, Places(1, 1), read_nothing)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
        sent = await _send_while_accepted(port, most_bytes)
        tg.cancel_scope.cancel()
    assert 0 < sent < most_bytes

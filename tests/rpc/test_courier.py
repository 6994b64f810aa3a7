"""Courier: sends events at once where it can, and never out of order."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import pytest

from agent_core.rpc.courier import Courier
from tests.toy_server import Toy, until, without_number

if TYPE_CHECKING:
    from tests.toy_server import Peer

TOPIC = "camera.connected"


class Noted:
    """Recipient that notes how it was served."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self._name = name
        self._notes = notes

    def deliver_now(self) -> None:
        self._notes.append(f"{self._name} now")

    def deliver_later(self) -> None:
        self._notes.append(f"{self._name} later")

    def end(self) -> None:
        self._notes.append(f"{self._name} ended")


class Faulty(Noted):
    def deliver_now(self) -> None:
        raise ZeroDivisionError


@asynccontextmanager
async def running(courier: Courier) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(courier.run)
        yield
        tasks.cancel_scope.cancel()


async def test_each_recipient_is_served_once_in_the_order_of_the_calls() -> None:
    courier, notes = Courier(), list[str]()
    one, two = Noted("one", notes), Noted("two", notes)
    async with running(courier):
        for each in (two, one, two):
            courier.call(each)
        assert notes == []
        await anyio.wait_all_tasks_blocked()
        courier.call(one)
        await anyio.wait_all_tasks_blocked()
    assert notes == ["two now", "one now", "one now"]


async def test_without_a_running_courier_recipients_serve_themselves() -> None:
    courier, notes = Courier(), list[str]()
    courier.call(Noted("before", notes))
    async with running(courier):
        courier.call(Noted("last", notes))
    courier.call(Noted("after", notes))
    assert notes == ["before later", "last now", "after later"]


async def test_a_fault_of_one_recipient_ends_only_that_one(caplog: pytest.LogCaptureFixture) -> None:
    courier, notes = Courier(), list[str]()
    async with running(courier):
        courier.call(Faulty("one", notes))
        courier.call(Noted("two", notes))
        await anyio.wait_all_tasks_blocked()
    assert notes == ["one ended", "two now"]
    assert "cannot deliver an event" in caplog.text


async def test_others_get_a_turn_while_many_are_served() -> None:
    courier, notes = Courier(), list[str]()
    async with running(courier):
        for number in range(1000):
            courier.call(Noted(str(number), notes))
        turns = 0
        while len(notes) < 1000:
            await anyio.lowlevel.checkpoint()
            turns += 1
    assert turns > 10


@pytest.fixture
async def toy(tmp_path: Path) -> AsyncIterator[Toy]:
    toy = Toy(tmp_path / "state")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(toy.sessions.run)
        yield toy
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def served(toy: Toy, *, buffer: float) -> AsyncIterator["Peer"]:
    """Connect a peer that follows `TOPIC`."""
    async with toy.peer(buffer=buffer) as peer:
        await peer.post(1, "authenticate", auth_token=toy.token())
        await peer.receive()
        await peer.post(2, "subscribe_events", topics=[TOPIC, "camera_status_update"])
        await peer.receive()
        yield peer


async def test_events_and_replies_keep_their_order(toy: Toy) -> None:
    for buffer in (math.inf, 0, 1, 5):
        async with served(toy, buffer=buffer) as peer:
            first = toy.bus.published
            for number in range(3):
                toy.bus.publish(TOPIC, {"number": number})
            await peer.post("ping", "ping")
            await anyio.wait_all_tasks_blocked()
            toy.bus.publish(TOPIC, {"number": 3})
            got = [await peer.receive() for _ in range(9)]
        events = [each["params"]["sequence"] - first for each in got if "method" in each]
        lost = [each for each in got if each.get("method") == "system.events_dropped"]
        assert lost == []
        assert events == [1, 1, 2, 2, 3, 3, 4, 4]


async def test_a_peer_that_does_not_read_stops_only_itself(toy: Toy) -> None:
    async with served(toy, buffer=0) as deaf, served(toy, buffer=math.inf) as other:
        for number in range(10):
            toy.bus.publish(TOPIC, {"number": number})
            for _ in range(2):
                assert without_number(await other.receive()) == {"number": number}
        got = [await deaf.receive() for _ in range(9)]
    assert [each["params"]["sequence"] for each in got] == [1, 1, 7, 8, 8, 9, 9, 10, 10]
    assert got[2]["params"] == {
        "count": 6, "reason": "slow_reader", "after": 1, "sequence": 7, "boot_id": toy.bus.boot_id,
    }  # fmt: skip


async def test_a_peer_that_has_left_is_not_served(toy: Toy) -> None:
    async with served(toy, buffer=math.inf) as peer, served(toy, buffer=math.inf) as other:
        await peer.close()
        toy.bus.publish(TOPIC, {"number": 1})
        assert without_number(await other.receive()) == {"number": 1}
        await until(lambda: len(toy.sessions) == 1)

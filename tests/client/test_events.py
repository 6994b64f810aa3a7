"""Events: their receivers, how many are held, how they end."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio
import pytest
from websockets.asyncio.server import ServerConnection

from agent_core.base.models import CameraId
from agent_core.client import CORE_TOPICS, AgentClient, CallFailed, ConnectionLost, Event, EventStream
from agent_core.client.events import canonical
from agent_core.rpc import topics

if TYPE_CHECKING:
    from tests.conftest import ToyAgent

Serve = Callable[[Callable[[ServerConnection], Awaitable[None]]], AbstractAsyncContextManager[str]]


#: Most of them talk to servers that answer what a test wants.
pytestmark = pytest.mark.other_server


async def following(events: EventStream) -> Event:
    with anyio.fail_after(20):
        return await anext(events)


async def test_events_come_in_order_until_the_context_ends(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        async with agent.subscribe(["camera.connected", "snapshot.taken"]) as events:
            assert toy.subscribed() == {"camera.connected": 1, "snapshot.taken": 1}
            toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
            toy.bus.publish("camera.disconnected", {"device": "camera0"}, camera=CameraId("camera0"))
            toy.bus.publish("snapshot.taken", {"device": "camera1"}, camera=CameraId("camera1"))
            assert await following(events) == Event("camera.connected", {"device": "camera0"})
            assert await following(events) == Event("snapshot.taken", {"device": "camera1"})
        assert toy.subscribed() == {}


async def test_one_cameras_events(toy: "ToyAgent") -> None:
    async with (
        AgentClient(toy.url, toy.token()) as agent,
        agent.subscribe(["camera.connected"], device="camera1") as events,
    ):
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish("camera.connected", {"device": "camera1"}, camera=CameraId("camera1"))
        assert (await following(events)).params == {"device": "camera1"}


async def test_two_streams_of_one_topic_do_not_take_each_others_events(toy: "ToyAgent") -> None:
    async with (
        AgentClient(toy.url, toy.token()) as agent,
        agent.subscribe(["camera.connected"], device="camera0") as first,
    ):
        async with agent.subscribe(["camera.connected"], device="camera1") as second:
            toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
            toy.bus.publish("camera.connected", {"device": "camera1"}, camera=CameraId("camera1"))
            assert (await following(first)).params == {"device": "camera0"}
            assert (await following(second)).params == {"device": "camera1"}
        toy.bus.publish("camera.connected", {"device": "camera0", "fps": 1}, camera=CameraId("camera0"))
        assert (await following(first)).params["fps"] == 1


async def test_an_alias_is_delivered_under_its_topic(toy: "ToyAgent") -> None:
    async with (
        AgentClient(toy.url, toy.token()) as agent,
        agent.subscribe(["recording.started"]) as events,
    ):
        toy.bus.publish("recording.start", {"device": "camera0"}, camera=CameraId("camera0"))
        assert (await following(events)).topic == "recording.start"


async def test_an_unknown_topic_is_refused_and_leaves_nothing(toy: "ToyAgent") -> None:
    async with AgentClient(toy.url, toy.token()) as agent:
        with pytest.raises(CallFailed, match="Unknown topic"):
            async with agent.subscribe(["camera.connected", "weather"]):
                pytest.fail("entered")
        assert toy.subscribed() == {}


async def test_a_stream_that_ends_with_the_connection_delivers_what_it_holds(websocket: Serve) -> None:
    async def say_one_and_go(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send('{"jsonrpc":"2.0","method":"camera.connected","params":{"device":"camera0"}}')
        await connection.send('{"jsonrpc":"2.0","id":1,"result":{}}')
        await connection.close(1012)

    async with (
        websocket(say_one_and_go) as url,
        AgentClient(url) as agent,
        agent.subscribe(["camera.connected"]) as events,
    ):
        assert (await following(events)).params == {"device": "camera0"}
        with pytest.raises(ConnectionLost) as caught:
            await following(events)
    assert caught.value.reason == "agent_stopping"


async def test_a_stream_that_is_not_read_keeps_the_newest_and_counts_the_rest() -> None:
    stream = EventStream(["snapshot.taken"], None, 3)
    for number in range(10):
        stream.offer(Event("snapshot.taken", {"number": number}))
    assert await following(stream) == Event("system.events_dropped", {"count": 7})
    assert [(await following(stream)).params["number"] for _ in range(3)] == [7, 8, 9]


async def test_an_ended_login_is_told_to_every_stream() -> None:
    stream = EventStream(["camera.connected"], "camera0", 4)
    stream.offer(Event("system.auth_expired", {"details": "over"}))
    stream.offer(Event("system.health", {}))
    stream.offer(Event("camera.connected", {"device": "camera0"}))
    assert [(await following(stream)).topic for _ in range(2)] == ["system.auth_expired", "camera.connected"]


def test_a_stream_without_room_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="capacity"):
        EventStream(["camera.connected"], None, 0)


def test_the_topics_and_aliases_are_those_of_the_agent() -> None:
    known = topics.EventTopics().names
    summaries = {name for name in known if name.endswith("_update")}
    assert set(CORE_TOPICS) == set(known) - summaries - set(dict(topics.ALIASES))
    assert {name: next(iter(canonical([name]))) for name in known} == {
        name: dict(topics.ALIASES).get(name, name) for name in known
    }

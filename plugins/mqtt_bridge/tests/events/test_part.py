"""Events at a broker that is away, slow, or loses acknowledgements; nothing here waits for real time."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel

from agent_core.client.events import CORE_TOPICS
from agent_core.testing import SimulatedClock
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.events.outbox import EventOutbox
from mqtt_bridge.events.part import AGENT_TOPICS, EventsPart, chosen_topics
from mqtt_bridge.link import EVENTS_DROPPED, AgentEvent
from mqtt_bridge.topics import AgentTopics

TOPICS = AgentTopics("camera-agent", "box")


class Broker:
    """`BrokerPublisher` that takes every message, and acknowledges as `acknowledges` says."""

    packet_bytes = 1 << 20

    def __init__(self, acknowledges: Callable[[int], bool] = lambda _: True) -> None:
        self.messages: list[Outgoing] = []
        self._acknowledges = acknowledges
        self.at_s: list[float] = []
        self.clock: SimulatedClock | None = None

    async def publish(self, message: Outgoing) -> None:
        self.messages.append(message)
        if self.clock is not None:
            self.at_s.append(self.clock.monotonic_s())
        await anyio.lowlevel.checkpoint()
        if not self._acknowledges(len(self.messages)):
            raise BrokerLost

    @property
    def sequences(self) -> list[int]:
        return [json.loads(each.payload)["sequence"] for each in self.messages]


def part(clock: SimulatedClock, *, kept: int = 1000, per_s: float = 20.0, qos: int = 1) -> EventsPart:
    outbox = EventOutbox(kept, 1_000_000)
    return EventsPart(TOPICS, ("camera.connected", "snapshot.taken"), outbox, clock, qos=qos, per_s=per_s)


def event(sequence: int, topic: str = "camera.connected", **params: Any) -> AgentEvent:
    return AgentEvent(topic, "boot-1", sequence, {"sequence": sequence, **params})


@asynccontextmanager
async def online(events: EventsPart, broker: Broker) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(events.online, broker)
        yield
        tasks.cancel_scope.cancel()


async def test_events_leave_at_once_on_topics_of_their_own() -> None:
    clock, broker = SimulatedClock(), Broker()
    events = part(clock, qos=1)
    async with online(events, broker):
        await clock.advance(5)
        events.take(event(7))
        events.take(event(8, "recording.start"))  # no wanted topic
        events.take(event(9, "snapshot.taken"))
        await anyio.wait_all_tasks_blocked()
    assert [each.topic for each in broker.messages] == [
        "camera-agent/box/events/camera.connected",
        "camera-agent/box/events/snapshot.taken",
    ]
    assert broker.sequences == [7, 9]
    assert {(each.qos, each.retain, each.content_type) for each in broker.messages} == {
        (1, False, "application/json")
    }


async def test_an_hour_without_a_broker_is_bounded_told_and_ends_without_a_storm() -> None:
    clock, broker = SimulatedClock(), Broker()
    outbox = EventOutbox(1000, 150_000)
    events = EventsPart(TOPICS, ("camera.connected",), outbox, clock, qos=1, per_s=20)
    largest_bytes = 0
    for sequence in range(1, 7201):  # two per second for an hour
        await clock.advance(0.5)
        events.take(event(sequence, text="x" * 50))
        largest_bytes = max(largest_bytes, outbox.size_bytes)
    assert largest_bytes <= 150_000
    assert len(outbox) <= 1000
    broker.clock = clock
    async with online(events, broker):
        for _ in range(120):
            await clock.advance(0.5)
    notice, *rest = [json.loads(each.payload) for each in broker.messages]
    assert notice["topic"] == EVENTS_DROPPED
    first_kept = rest[0]["sequence"]
    assert notice["params"] == {
        "sequence": first_kept - 1,
        "count": first_kept - 1,
        "reason": "outbox_full",
        "boot_id": "boot-1",
        "after": 0,
    }
    assert [each["sequence"] for each in rest] == list(range(first_kept, 7201))
    most_in_a_second = max(sum(start <= at < start + 1 for at in broker.at_s) for start in broker.at_s)
    assert most_in_a_second <= 20 + 5


async def test_an_event_whose_acknowledgement_is_lost_comes_again_in_its_place() -> None:
    clock = SimulatedClock()
    events = part(clock, per_s=1000)
    for sequence in range(1, 31):
        events.take(event(sequence))
    brokers = [Broker(lambda count: count % 4 != 0) for _ in range(20)]
    for broker in brokers:
        try:
            async with online(events, broker):
                await clock.advance(10)
        except* BrokerLost:
            pass
    received = [sequence for broker in brokers for sequence in broker.sequences]
    assert len(received) > 30
    unique = [each for index, each in enumerate(received) if index == 0 or received[index - 1] != each]
    assert unique == list(range(1, 31))


async def test_a_connection_that_ends_while_an_event_is_on_its_way_loses_nothing() -> None:
    clock = SimulatedClock()
    events = part(clock, per_s=1000)
    hung = anyio.Event()

    class Hung(Broker):
        async def publish(self, message: Outgoing) -> None:
            self.messages.append(message)
            hung.set()
            await anyio.sleep_forever()

    first, second = Hung(), Broker()
    events.take(event(1))
    events.take(event(2))
    async with online(events, first):
        await hung.wait()
    async with online(events, second):
        await clock.advance(1)
    assert (first.sequences, second.sequences) == ([1], [1, 2])


async def test_a_slow_broker_gets_the_newest_events_and_is_told_of_the_others() -> None:
    clock = SimulatedClock()
    broker = Broker()
    events = part(clock, kept=10, per_s=1)
    async with online(events, broker):
        for sequence in range(1, 201):
            events.take(event(sequence))
            await clock.advance(0.1)
        await clock.advance(60)
    told = [json.loads(each.payload) for each in broker.messages]
    position = 0
    for each in told:
        if each["topic"] == EVENTS_DROPPED:
            assert each["params"]["after"] == position
            assert each["params"]["count"] == each["sequence"] - position
        else:
            assert each["sequence"] == position + 1
        position = each["sequence"]
    assert position == 200


def test_topics_are_chosen_by_pattern_or_name() -> None:
    assert chosen_topics(("*",)) == AGENT_TOPICS == CORE_TOPICS, "the agent has other topics now"
    assert chosen_topics(("recording.*", "camera.connected")) == (
        "camera.connected",
        "recording.start",
        "recording.stop",
        "recording.error",
    )
    assert chosen_topics(("snapshot.*", "external_discovery.progress", "camera_status_update")) == (
        "snapshot.taken",
        "external_discovery.progress",
        "camera_status_update",
    )
    assert chosen_topics(()) == ()

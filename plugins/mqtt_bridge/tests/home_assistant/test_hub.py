"""What the broker is to keep for Home Assistant, and its starts."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest

from agent_core.testing import SimulatedClock
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.home_assistant.descriptions import Descriptions
from mqtt_bridge.home_assistant.hub import HomeAssistantHub

from .described import AGENT, CAMERAS, IDS, TOPICS


@dataclass
class Kept:
    """What the broker keeps, and how often each part of it was asked for."""

    messages: dict[str, Outgoing] = field(default_factory=dict)
    changes: int = 0
    repeated: list[str] = field(default_factory=list)

    def set(self, topic: str, message: Outgoing) -> None:
        self.messages[topic] = message
        self.changes += 1

    def clear(self, topic: str) -> None:
        del self.messages[topic]
        self.changes += 1

    def repeat(self, topics: Iterable[str]) -> None:
        self.repeated.extend(topics)


class NoBroker:
    packet_bytes = 1 << 20

    async def publish(self, message: Outgoing) -> None:
        raise AssertionError(message)


@pytest.fixture
def kept() -> Kept:
    return Kept()


def hub_of(
    kept: Kept, clock: SimulatedClock, *, prefix: str = "homeassistant", share: float = 0.5
) -> HomeAssistantHub:
    descriptions = Descriptions(IDS, TOPICS, control=False)
    return HomeAssistantHub(prefix, descriptions, kept, clock=clock, random=lambda: share)


def status(payload: bytes = b"online", *, retained: bool = False) -> Incoming:
    return Incoming("homeassistant/status", payload, retained, {}, None, "", "")


@asynccontextmanager
async def connected(hub: HomeAssistantHub) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hub.online, NoBroker())
        await anyio.wait_all_tasks_blocked()
        yield
        tasks.cancel_scope.cancel()


def test_everything_described_is_kept(kept: Kept) -> None:
    hub = hub_of(kept, SimulatedClock())
    hub.show(AGENT, CAMERAS)
    assert any("camera0" in topic for topic in kept.messages)
    assert all(each.retain and each.payload for each in kept.messages.values())
    assert [topic for topic, each in kept.messages.items() if each.topic != topic] == []


def test_a_forgotten_camera_is_cleared_and_nothing_else(kept: Kept) -> None:
    hub = hub_of(kept, SimulatedClock())
    hub.show(AGENT, CAMERAS)
    before = {topic for topic in kept.messages if "camera12" not in topic}
    hub.show(AGENT, CAMERAS[:1])
    assert kept.messages.keys() == before


def test_the_same_again_changes_nothing(kept: Kept) -> None:
    hub = hub_of(kept, SimulatedClock())
    hub.show(AGENT, CAMERAS)
    changes = kept.changes
    hub.show(AGENT, [*CAMERAS])
    assert kept.changes == changes


async def test_a_start_of_home_assistant_repeats_everything_once_after_a_while(kept: Kept) -> None:
    clock = SimulatedClock()
    hub = hub_of(kept, clock, share=0.5)
    hub.show(AGENT, CAMERAS)
    async with connected(hub):
        hub.received(status())
        await clock.advance(29)
        assert kept.repeated == []
        hub.received(status())
        await clock.advance(2)
        assert sorted(kept.repeated) == sorted(kept.messages)
        await clock.advance(300)
        assert len(kept.repeated) == len(kept.messages)


async def test_agents_answer_at_different_times(kept: Kept) -> None:
    clock = SimulatedClock()
    others = [Kept() for _ in range(10)]
    async with anyio.create_task_group() as tasks:
        for number, each in enumerate(others):
            hub = hub_of(each, clock, share=number / 10)
            hub.show(AGENT, CAMERAS)
            tasks.start_soon(hub.online, NoBroker())
            await anyio.wait_all_tasks_blocked()
            hub.received(status())
        await clock.advance(0)
        answered = []
        for _ in range(10):
            answered.append(sum(bool(each.repeated) for each in others))
            await clock.advance(6)
        tasks.cancel_scope.cancel()
    assert answered == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize(
    "message", [status(retained=True), status(b"offline"), status(b""), status(b"\xff" * 1000)]
)
async def test_nothing_else_is_a_start(kept: Kept, message: Incoming) -> None:
    clock = SimulatedClock()
    hub = hub_of(kept, clock)
    hub.show(AGENT, CAMERAS)
    async with connected(hub):
        hub.received(message)
        await clock.advance(300)
    assert kept.repeated == []


def test_starts_are_told_at_the_default_topic_with_another_prefix_too(kept: Kept) -> None:
    hub = hub_of(kept, SimulatedClock(), prefix="hub")
    assert [each.filter for each in hub.subscriptions] == ["homeassistant/status", "hub/status"]
    assert len(hub_of(kept, SimulatedClock()).subscriptions) == 1


class Broker:
    """Broker that takes everything at once."""

    packet_bytes = 100_000

    def __init__(self) -> None:
        self.published: list[Outgoing] = []

    async def publish(self, message: Outgoing) -> None:
        self.published.append(message)


async def test_repeated_topics_are_published_again_as_they_are(kept: Kept) -> None:
    clock, broker = SimulatedClock(), Broker()
    birth = Outgoing("birth", b"online", retain=True)
    retained = RetainedTopics(clock, birth=birth)
    for topic in ("a", "b"):
        retained.set(topic, Outgoing(topic, topic.encode()))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(retained.online, broker)
        await clock.advance(1)
        before = len(broker.published)
        retained.clear("b")
        retained.repeat(["a", "b", "unknown"])
        await clock.advance(1)
        tasks.cancel_scope.cancel()
    assert sorted((each.topic, each.payload) for each in broker.published[before:]) == [
        ("a", b"a"),
        ("b", b""),
    ]

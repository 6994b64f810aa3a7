"""Journal of events: its bound, its numbers, and what it says is gone."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from agent_core.base.events import EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.rpc.journal import EventJournal
from tests.toy_server import toy_topics

TOPIC = "camera.connected"


@asynccontextmanager
async def filled(journal: EventJournal) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(journal.run)
        yield
        tasks.cancel_scope.cancel()


def numbers(journal: EventJournal, after: int = 0, until: int = 1 << 60) -> list[int]:
    return [event.sequence for event in journal.between(after, until)]


async def test_it_keeps_the_newest_events_in_its_bytes() -> None:
    bus = EventBus()
    journal = EventJournal(bus, toy_topics(), max_bytes=64 << 10)
    async with filled(journal):
        for number in range(1000):
            bus.publish(TOPIC, {"text": "x" * 1000, "number": number})
            assert journal.size_bytes <= 64 << 10
            if number % 100 == 0:
                await anyio.wait_all_tasks_blocked()
                assert journal.size_bytes <= 64 << 10
        await anyio.wait_all_tasks_blocked()
    kept = numbers(journal)
    assert kept == list(range(journal.oldest, 1001))
    assert 20 < len(kept) == len(journal) < 64


@pytest.mark.parametrize("letter", ["x", "é", "€"])
async def test_it_counts_the_bytes_of_the_text_once_for_all_topics(letter: str) -> None:
    bus, topics = EventBus(), toy_topics()
    journal = EventJournal(bus, topics, max_bytes=1 << 20)
    async with filled(journal):
        bus.publish(TOPIC, {"text": ""})
        await anyio.wait_all_tasks_blocked()
        empty = journal.size_bytes
        bus.publish(TOPIC, {"text": letter * 5000})
        await anyio.wait_all_tasks_blocked()
    assert journal.size_bytes - 2 * empty == 5000 * len(letter.encode())


async def test_memory_is_near_what_it_counts() -> None:
    bus = EventBus()
    journal = EventJournal(bus, toy_topics(), max_bytes=4 << 20)
    async with filled(journal):

        async def publish(count: int) -> None:
            for number in range(count):
                bus.publish(TOPIC, {"text": f"{number:0500}"})
                if number % 1000 == 0:
                    await anyio.wait_all_tasks_blocked()
            await anyio.wait_all_tasks_blocked()

        tracemalloc.start()
        await publish(3000)
        full = tracemalloc.get_traced_memory()[0]
        await publish(9000)
        later = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert full < 2 * journal.size_bytes
    assert later < 1.2 * full


async def test_a_burst_is_bounded_before_anything_is_rendered() -> None:
    bus = EventBus()
    journal = EventJournal(bus, toy_topics(), max_bytes=32 << 10)
    for _ in range(1000):
        bus.publish(TOPIC, {})
    assert len(journal) <= 32
    async with filled(journal):
        await anyio.wait_all_tasks_blocked()
    assert numbers(journal)[-1] == 1000


@pytest.mark.parametrize("max_bytes", [0, 100])
async def test_a_journal_without_room_keeps_nothing_and_says_so(max_bytes: int) -> None:
    bus = EventBus()
    journal = EventJournal(bus, toy_topics(), max_bytes=max_bytes)
    async with filled(journal):
        bus.publish(TOPIC, {})
        await anyio.wait_all_tasks_blocked()
    assert (len(journal), journal.size_bytes, numbers(journal)) == (0, 0, [])
    assert journal.lacks(0, [TOPIC])
    assert not journal.lacks(1, [TOPIC])
    assert not journal.lacks(0, ["camera.disconnected"])


async def test_events_that_feed_no_topic_only_take_numbers() -> None:
    bus = EventBus()
    bus.publish("before", {})
    journal = EventJournal(bus, toy_topics(), max_bytes=1 << 20)
    for topic in (TOPIC, "internal", TOPIC):
        bus.publish(topic, {})
    assert numbers(journal) == [2, 4]
    assert numbers(journal, after=2) == [4]
    assert numbers(journal, until=3) == [2]
    assert not journal.lacks(1, [TOPIC, "internal"])


async def test_an_event_that_cannot_be_rendered_is_no_gap() -> None:
    bus, topics = EventBus(), toy_topics()
    journal = EventJournal(bus, topics, max_bytes=1 << 20)
    topics.register(TOPIC, lambda payload, _stamp: payload.no_such)
    async with filled(journal):
        bus.publish(TOPIC, {})
        bus.publish("camera.disconnected", {})
        await anyio.wait_all_tasks_blocked()
    assert numbers(journal) == [1, 2]
    assert not journal.lacks(0, [TOPIC])


async def test_its_size_is_among_the_metrics() -> None:
    bus, registry = EventBus(), MetricRegistry()
    journal = EventJournal(bus, toy_topics(), max_bytes=1 << 20)
    journal.add_metrics(registry)
    bus.publish(TOPIC, {})
    values = {each.metric.name: dict(each.series)[()] for each in registry.collect()}
    assert values == {
        "camera_agent_event_journal_events": 1,
        "camera_agent_event_journal_bytes": journal.size_bytes,
    }

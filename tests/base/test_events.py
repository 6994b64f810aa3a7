"""Event bus: order, bounds, and publishers that never wait."""

import anyio

from agent_core.base.events import Dropped, Event, EventBus
from agent_core.base.metrics import MetricRegistry


def everything(_event: Event) -> bool:
    return True


async def test_events_arrive_in_order_and_only_those_wanted() -> None:
    bus = EventBus()
    with bus.subscribe(lambda event: event.topic == "a") as subscription:
        bus.publish("a", 1)
        bus.publish("b", 2)
        bus.publish("a", 3)
        assert [(await subscription.receive()).payload for _ in range(2)] == [1, 3]


async def test_a_full_queue_loses_the_oldest_and_counts() -> None:
    bus = EventBus()
    with bus.subscribe(everything, capacity=2) as subscription:
        for number in range(5):
            bus.publish("a", number)
        assert subscription.take_dropped() == Dropped(3, sequence=3)
        assert subscription.take_dropped() == Dropped()
        assert [(await subscription.receive()).payload for _ in range(2)] == [3, 4]


async def test_a_waiting_receiver_wakes_up() -> None:
    bus = EventBus()
    received: list[object] = []

    async def receive() -> None:
        received.append((await subscription.receive()).payload)

    with bus.subscribe(everything) as subscription, anyio.fail_after(20):
        async with anyio.create_task_group() as tg:
            tg.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            bus.publish("a", 1)
    assert received == [1]


def test_a_closed_subscription_is_forgotten() -> None:
    bus = EventBus()
    with bus.subscribe(everything):
        assert len(bus) == 1
    assert len(bus) == 0


async def test_what_was_published_and_dropped_is_counted_over_all_subscribers() -> None:
    bus, registry = EventBus(), MetricRegistry()
    bus.add_metrics(registry)
    with bus.subscribe(lambda _: True, capacity=2) as slow, bus.subscribe(lambda _: False, capacity=1):
        for number in range(5):
            bus.publish("numbers", number)
        assert slow.take_dropped().count == 3
        bus.publish("numbers", 5)
    bus.publish("numbers", 6)  # nobody there to lose it
    values = {each.metric.name: dict(each.series) for each in registry.collect()}
    assert values == {
        "camera_agent_events_published_total": {(): 7},
        "camera_agent_events_dropped_total": {(): 4},
    }

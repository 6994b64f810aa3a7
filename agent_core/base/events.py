"""Who wants to know what happened: topics, bounded queues, nobody waits for a slow subscriber."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

__all__ = ("Event", "EventBus", "Subscription")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `payload` is a frozen value whose type the topic fixes."""

    topic: str
    payload: object


class Subscription:
    """One subscriber's queue of at most `capacity` events; when it is full the oldest is lost and counted."""

    def __init__(self, wanted: Callable[[Event], bool], capacity: int) -> None:
        self._wanted = wanted
        self._queue: deque[Event] = deque(maxlen=capacity)
        self._arrived = anyio.Event()
        self._dropped = 0

    def offer(self, event: Event) -> None:
        if not self._wanted(event):
            return
        if len(self._queue) == self._queue.maxlen:
            self._dropped += 1
        self._queue.append(event)
        self._arrived.set()

    async def receive(self) -> Event:
        """The oldest event still held; waits for one. Cancelling loses nothing."""
        while not self._queue:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._queue.popleft()

    def take_dropped(self) -> int:
        """How many events were lost since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped


class EventBus:
    """Publishing never waits and never fails; events reach each subscription in the order they were published."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def __len__(self) -> int:
        return len(self._subscriptions)

    def publish(self, topic: str, payload: object) -> None:
        event = Event(topic, payload)
        for subscription in self._subscriptions:
            subscription.offer(event)

    @contextmanager
    def subscribe(self, wanted: Callable[[Event], bool], *, capacity: int = 256) -> Iterator[Subscription]:
        """Events for which `wanted` is true, for as long as the context is open."""
        subscription = Subscription(wanted, capacity)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

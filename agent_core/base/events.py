"""Event bus with bounded queues: a slow subscriber delays neither the publisher nor other subscribers."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import anyio

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import CameraId

__all__ = ("Event", "EventBus", "Subscription")


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Event:
    """Event on the bus. Each instance equals only itself, so subscribers can share work on it by identity.

    Attributes:
        topic: name on the bus.
        payload: a frozen value whose type the topic fixes.
        at: wall time of publishing, in UTC.
        camera: the camera that the event is about; None for an event about no single camera.
    """

    topic: str
    payload: object
    at: datetime
    camera: CameraId | None = None


class Subscription:
    """Queue of at most `capacity` events for one subscriber; a full queue drops and counts its oldest event."""

    def __init__(self, wanted: Callable[[Event], bool], capacity: int) -> None:
        self._wanted = wanted
        self._queue: deque[Event] = deque(maxlen=capacity)
        self._arrived = anyio.Event()
        self._dropped = 0

    def offer(self, event: Event) -> bool:
        """Queue `event` if the subscriber wants it; return True if that has dropped another."""
        if not self._wanted(event):
            return False
        is_full = len(self._queue) == self._queue.maxlen
        self._dropped += is_full
        self._queue.append(event)
        self._arrived.set()
        return is_full

    async def receive(self) -> Event:
        """Remove and return the oldest queued event; wait if there is none. Cancelling loses no event."""
        while not self._queue:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._queue.popleft()

    def take_dropped(self) -> int:
        """Return the number of events dropped since the last call."""
        dropped, self._dropped = self._dropped, 0
        return dropped


class EventBus:
    """Bus that queues events for its subscriptions in the order of publishing; publishing neither waits nor fails.

    Attributes:
        published: number of events published.
        dropped: number of events that subscribers lost by reading too slowly, each counted once for each of them.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        """Take the events' times from `clock`; default: the system's clock."""
        self._clock = clock or SystemClock()
        self._subscriptions: list[Subscription] = []
        self.published = self.dropped = 0

    def __len__(self) -> int:
        return len(self._subscriptions)

    def publish(self, topic: str, payload: object, *, camera: CameraId | None = None) -> None:
        """Offer an event to every subscription.

        Args:
            topic: name on the bus.
            payload: a frozen value; it is rendered later, in the subscribers' tasks.
            camera: the camera that the event is about, compared with subscribers' filters.
        """
        event = Event(topic, payload, self._clock.now(), camera)
        self.published += 1
        for subscription in self._subscriptions:
            self.dropped += subscription.offer(event)

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the numbers of events."""
        registry.counter(
            "camera_agent_events_published_total",
            "Events published in the agent.",
            lambda: self.published,
        )
        registry.counter(
            "camera_agent_events_dropped_total",
            "Events that subscribers lost by reading too slowly.",
            lambda: self.dropped,
        )

    @contextmanager
    def subscribe(self, wanted: Callable[[Event], bool], *, capacity: int = 256) -> Iterator[Subscription]:
        """Queue events for which `wanted` is true, for as long as the context is open.

        `wanted` runs on the publisher's stack for every event: it must be quick and must not raise.
        """
        subscription = Subscription(wanted, capacity)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

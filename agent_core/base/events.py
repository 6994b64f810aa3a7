"""Event bus with bounded queues: a slow subscriber delays neither the publisher nor other subscribers."""

import secrets
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import anyio

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import CameraId

__all__ = ("Dropped", "Event", "EventBus", "Keeper", "Stamp", "Subscription")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Number and time that an event gets when it is published.

    Attributes:
        sequence: 1 for the first event after the agent's start, one more for each later event of any topic.
        at: wall time of publishing, in UTC.
    """

    sequence: int
    at: datetime


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Event:
    """Event on the bus. Each instance equals only itself, so subscribers can share work on it by identity.

    Attributes:
        topic: name on the bus.
        payload: a frozen value whose type the topic fixes.
        stamp: number and time of publishing.
        camera: the camera that the event is about; None for an event about no single camera.
    """

    topic: str
    payload: object
    stamp: Stamp
    camera: CameraId | None = None

    @property
    def sequence(self) -> int:
        return self.stamp.sequence


@dataclass(frozen=True, slots=True)
class Dropped:
    """Events that a full queue has dropped: how many, and the number of the last of them."""

    count: int = 0
    sequence: int = 0


class Keeper(Protocol):
    """Receiver of all events, on the publisher's stack."""

    def keep(self, event: Event) -> None:
        """Take over an event. Must be quick and must not raise."""
        ...


class Subscription:
    """Queue of at most `capacity` events for one subscriber; a full queue drops and counts its oldest event.

    Args:
        wanted: as for `EventBus.subscribe`.
        capacity: most events in the queue.
        notify: called for each event that is queued, on the publisher's stack; `wake` by default.
    """

    def __init__(
        self,
        wanted: Callable[[Event], bool],
        capacity: int,
        *,
        notify: Callable[[], None] | None = None,
    ) -> None:
        self._wanted = wanted
        self._queue: deque[Event] = deque(maxlen=capacity)
        self._arrived = anyio.Event()
        self._notify = notify or self.wake
        self._dropped = Dropped()

    @property
    def oldest(self) -> Event | None:
        """The event that `take` returns; None if the queue is empty."""
        return self._queue[0] if self._queue else None

    def offer(self, event: Event) -> bool:
        """Queue `event` if the subscriber wants it; return True if that has dropped another."""
        if not self._wanted(event):
            return False
        is_full = len(self._queue) == self._queue.maxlen
        if is_full:
            self._dropped = Dropped(self._dropped.count + 1, self._queue[0].sequence)
        self._queue.append(event)
        self._notify()
        return is_full

    async def receive(self) -> Event:
        """Remove and return the oldest queued event; wait if there is none. Cancelling loses no event."""
        while not self._queue:
            await self.wait()
        return self.take()

    def take(self) -> Event:
        """Remove and return the oldest queued event. Raises IndexError if there is none."""
        return self._queue.popleft()

    async def wait(self) -> None:
        """Wait until `wake` is called, which the next event does unless there is a `notify`."""
        self._arrived = anyio.Event()
        await self._arrived.wait()

    def wake(self) -> None:
        """End `wait`."""
        self._arrived.set()

    @property
    def has_dropped(self) -> bool:
        """True if events were dropped since the last call of `take_dropped`."""
        return self._dropped.count > 0

    def take_dropped(self) -> Dropped:
        """Return the events dropped since the last call."""
        dropped, self._dropped = self._dropped, Dropped()
        return dropped


class EventBus:
    """Bus that queues events for its subscriptions in the order of publishing; publishing neither waits nor fails.

    Attributes:
        boot_id: name of this start of the agent, by which clients recognize that the numbers have started again.
        published: number of events published, and the number of the newest.
        dropped: number of events that subscribers lost by reading too slowly, each counted once for each of them.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        """Take the events' times from `clock`; default: the system's clock."""
        self._clock = clock or SystemClock()
        self._subscriptions: list[Subscription] = []
        self._keepers: list[Keeper] = []
        self.boot_id = secrets.token_hex(8)
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
        self.published += 1
        event = Event(topic, payload, Stamp(self.published, self._clock.now()), camera)
        for keeper in self._keepers:
            keeper.keep(event)
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
        with self.serve(subscription):
            yield subscription

    def keep_in(self, keeper: Keeper) -> None:
        """Hand each event to `keeper`, before the subscriptions, for as long as the bus exists."""
        self._keepers.append(keeper)

    @contextmanager
    def serve(self, subscription: Subscription) -> Iterator[None]:
        """Offer events to `subscription` for as long as the context is open."""
        self._subscriptions.append(subscription)
        try:
            yield
        finally:
            self._subscriptions.remove(subscription)

"""Events of the agent, delivered to the streams that subscribed to them."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType

import anyio

from agent_core.client.errors import ClientError
from agent_core.client.protocol import JsonObject

__all__ = (
    "CORE_TOPICS",
    "EVENTS_DROPPED",
    "OF_CONNECTIONS",
    "Event",
    "EventStream",
    "Subscriptions",
    "canonical",
)

#: Topics of the wire contract, without summaries of other topics.
CORE_TOPICS = (
    "camera.connected",
    "camera.disconnected",
    "camera.status_change",
    "camera.controls",
    "recording.start",
    "recording.stop",
    "recording.error",
    "snapshot.taken",
    "system.health",
    "system.startup",
    "system.shutdown",
    "plugin.quarantined",
)
_ALIASES = MappingProxyType({"recording.started": "recording.start", "recording.stopped": "recording.stop"})
EVENTS_DROPPED = "system.events_dropped"
#: Topics about the connection, which every stream gets.
OF_CONNECTIONS = frozenset({EVENTS_DROPPED, "system.auth_expired"})


@dataclass(frozen=True, slots=True)
class Event:
    """Notification. `system.events_dropped` tells of lost events: `count` and `reason`, see `docs/client.md`."""

    topic: str
    params: JsonObject

    @property
    def sequence(self) -> int | None:
        """Number of the event since the agent started; None from an agent that does not number its events."""
        number = self.params.get("sequence")
        return number if type(number) is int else None


def canonical(topics: Iterable[str]) -> frozenset[str]:
    """Return the names under which the notifications of `topics` arrive."""
    return frozenset(_ALIASES.get(topic, topic) for topic in topics)


class EventStream:
    """Async iterator of events. Holds the newest `capacity` unread ones and counts those it dropped.

    Iterating raises ConnectionLost once the connection has ended for good and all held events were delivered, or
    CallFailed if the agent, after a break, refuses the credentials or a topic.
    """

    def __init__(self, topics: Sequence[str], device: str | None, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self.topics = canonical((topics,) if isinstance(topics, str) else topics)
        self.device = device
        #: Number of the newest event that precedes the subscription.
        self.begins_after = 0
        self._held: deque[Event] = deque(maxlen=capacity)
        self._dropped = 0
        self._ended: ClientError | None = None
        self._changed = anyio.Event()

    def offer(self, event: Event) -> None:
        if not self._wants(event):
            return
        if len(self._held) == self._held.maxlen:
            self._dropped += 1
        self._held.append(event)
        self._changed.set()

    def end(self, error: ClientError) -> None:
        self._ended = error
        self._changed.set()

    def _wants(self, event: Event) -> bool:
        about, sequence = event.params.get("device"), event.sequence
        is_before = sequence is not None and 0 < sequence <= self.begins_after
        if event.topic in OF_CONNECTIONS:  # a notice tells of the loss of events up to its number
            return event.topic != EVENTS_DROPPED or not is_before
        return (
            not is_before
            and event.topic in self.topics
            and (self.device is None or about in (None, self.device))
        )

    def __aiter__(self) -> "EventStream":
        return self

    async def __anext__(self) -> Event:
        while not self._held:
            if self._ended is not None:
                raise self._ended
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return Event(EVENTS_DROPPED, {"count": dropped})
        return self._held.popleft()


class Subscriptions:
    """Streams of one connection. The agent has one filter per topic, so each stream filters again."""

    def __init__(self) -> None:
        self._streams: list[EventStream] = []
        #: Serialises subscribing and unsubscribing.
        self.changing = anyio.Lock()

    @contextmanager
    def add(self, stream: EventStream) -> Iterator[None]:
        self._streams.append(stream)
        try:
            yield
        finally:
            self._streams.remove(stream)

    def offer(self, event: Event) -> None:
        for stream in self._streams:
            stream.offer(event)

    def end(self, error: ClientError) -> None:
        for stream in self._streams:
            stream.end(error)

    def refuse(self, topic: str, error: ClientError) -> None:
        """End the streams of a topic that the agent does not offer any more."""
        for stream in self._of(topic):
            stream.end(error)

    @property
    def begins_after(self) -> int:
        """Number up to which no stream wants an event."""
        return min((stream.begins_after for stream in self._streams), default=0)

    def begin_anew(self) -> None:
        """Let all streams take the first event of another start of the agent, which numbers its events again."""
        for stream in self._streams:
            stream.begins_after = 0

    def all_wanted(self) -> tuple[list[str], str | None]:
        """Return the topics of all streams, and the device if all want the same one."""
        devices = {stream.device for stream in self._streams}
        topics = sorted({topic for stream in self._streams for topic in stream.topics})
        return topics, devices.pop() if len(devices) == 1 else None

    def filters(self, topics: Iterable[str]) -> dict[str | None, list[str]]:
        """Return the subscriptions to request: `topics` by the one device that all their streams want, None for any."""
        asked: dict[str | None, list[str]] = {}
        for topic in topics:
            devices = {stream.device for stream in self._of(topic)}
            device = devices.pop() if len(devices) == 1 else None
            asked.setdefault(device, []).append(topic)
        return asked

    def unused(self, topics: Iterable[str]) -> list[str]:
        """Return those of `topics` that no stream wants any more."""
        return [topic for topic in topics if not self._of(topic)]

    def _of(self, topic: str) -> list[EventStream]:
        (name,) = canonical((topic,))
        return [stream for stream in self._streams if name in stream.topics]

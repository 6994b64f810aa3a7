"""Whatever is published, read, subscribed to and replayed: each event comes, or is told as lost, and none comes unasked."""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_core.base.events import Event, EventBus
from agent_core.base.models import CameraId
from agent_core.rpc.feed import EventSource, Feed, Place
from agent_core.rpc.journal import EventJournal
from agent_core.rpc.notices import EventsDropped
from tests.toy_server import toy_topics

TOPICS = ("camera.connected", "recording.start", "snapshot.taken")
#: Memory that the journal counts for an event that is not rendered yet.
ENTRY_BYTES = 3072

publications = st.tuples(st.just("publish"), st.sampled_from(TOPICS), st.integers(0, 1))
reads = st.tuples(st.just("read"), st.integers(1, 8))
subscriptions = st.tuples(st.just("subscribe"), st.sampled_from(TOPICS), st.none() | st.integers(0, 12))
strange_places = st.tuples(st.just("restart"), st.sampled_from(TOPICS), st.sampled_from(("boot", "future")))
actions = st.lists(
    publications | publications | publications | reads | subscriptions | strange_places,
    min_size=20,
    max_size=60,
)


@dataclass
class Client:
    """Client of a feed, and what it may expect of it."""

    source: EventSource
    devices: dict[str, str | None]
    starts: dict[str, list[int]] = field(default_factory=dict)
    got: list[tuple[str, int]] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)
    rewinds: int = 0

    def __post_init__(self) -> None:
        self.feed = Feed(self.source, self._wake)

    def _wake(self) -> None:
        self.feed.wake()

    def subscribe(self, topic: str, back: int | None) -> None:
        newest = self.source.newest
        place = None if back is None else Place(newest.boot_id, max(0, newest.sequence - back))
        self._subscribe(topic, place, newest.sequence if place is None else place.sequence)

    def restart(self, topic: str, kind: str) -> None:
        newest = self.source.newest
        unknown = Place("other", 1) if kind == "boot" else Place(newest.boot_id, newest.sequence + 1)
        self._subscribe(topic, unknown, 0)

    def _subscribe(self, topic: str, place: Place | None, start: int) -> None:
        if place is not None or topic not in self.starts:
            self.starts.setdefault(topic, []).append(start)
        self.rewinds += place is not None
        self.feed.subscribe((topic,), self.devices[topic], place)

    async def read(self, count: int) -> bool:
        """Take up to `count` items; return False if there is none."""
        for _ in range(count):
            item: Event | EventsDropped | None = None
            with anyio.move_on_after(0):
                item = await self.feed.receive()
            if item is None:
                return False
            if isinstance(item, EventsDropped):
                assert item.after <= item.sequence
                self.lost.append((item.after, item.sequence))
            else:
                assert self.feed.subscriptions.notifications(item)
                self.got.append((item.topic, item.sequence))
        return True

    def wants(self, event: Event) -> bool:
        return self.devices.get(event.topic) in (None, event.camera)

    def check(self, published: list[Event]) -> None:
        times = Counter(self.got)
        for event in published:
            starts = [start for start in self.starts.get(event.topic, ()) if event.sequence > start]
            came = times.pop((event.topic, event.sequence), 0)
            assert came <= (len(starts) if self.wants(event) else 0), "comes unasked"
            is_told = any(after < event.sequence <= until for after, until in self.lost)
            assert came or is_told or not starts or not self.wants(event), "is missing"
        assert not times
        numbers = [sequence for _, sequence in self.got]
        falls = sum(later <= earlier for earlier, later in pairwise(numbers))
        assert falls <= self.rewinds, "comes out of order"


async def play(
    steps: list[tuple[object, ...]], capacity: int, entries: int, devices: list[str | None]
) -> None:
    bus, topics, published = EventBus(), toy_topics(), list[Event]()
    journal = EventJournal(bus, topics, max_bytes=entries * ENTRY_BYTES)
    client = Client(EventSource(bus, journal, topics, capacity), dict(zip(TOPICS, devices, strict=True)))
    with bus.subscribe(lambda _event: True, capacity=1000) as seen, client.feed.open():
        for step in steps:
            match step:
                case ("publish", str(topic), int(camera)):
                    bus.publish(topic, {}, camera=CameraId(f"camera{camera}"))
                    published.append(seen.take())
                case ("read", int(count)):
                    await client.read(count)
                case ("subscribe", str(topic), back):
                    assert back is None or isinstance(back, int)
                    client.subscribe(topic, back)
                case ("restart", str(topic), str(kind)):
                    client.restart(topic, kind)
        while await client.read(1):
            pass
    client.check(published)


@pytest.mark.parametrize(("capacity", "entries"), [(1000, 1000), (3, 1000), (1000, 4), (3, 4), (1, 0)])
def test_each_event_comes_once_in_order_or_is_told_as_lost(capacity: int, entries: int) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(steps=actions, devices=st.lists(st.none() | st.just("camera0"), min_size=3, max_size=3))
    def examples(steps: list[tuple[object, ...]], devices: list[str | None]) -> None:
        anyio.run(play, steps, capacity, entries, devices)

    examples()

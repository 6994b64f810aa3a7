"""Journal of the newest events, bounded in bytes, from which clients get what they missed."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from anyio.lowlevel import checkpoint

from agent_core.base.events import Event, EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.rpc.topics import EventTopics

__all__ = ("EventJournal",)

#: Memory of an event besides its rendered parameters: its objects, and the entries of the tables that hold it.
_OVERHEAD_BYTES = 1024
#: Assumed for the parameters until they are rendered, a moment later.
_ASSUMED_BYTES = 2048


@dataclass(slots=True)
class _Entry:
    event: Event
    size_bytes: int


class EventJournal:
    """Newest events of a bus that feed topics, at most `max_bytes` of them.

    The parameters of an event are rendered in the task of `run`, right after it was published, so that a replay tells what
    the event told at its time.

    Args:
        bus: its events are kept from now on.
        topics: render them.
        max_bytes: limit; 0 keeps no event.

    Attributes:
        oldest: number of the oldest event that may be kept: all earlier ones are gone.
        size_bytes: memory that the kept events take.
    """

    def __init__(self, bus: EventBus, topics: EventTopics, *, max_bytes: int) -> None:
        self._topics = topics
        self._max_bytes = max_bytes
        self._kept: dict[int, _Entry] = {}
        self._newest = bus.published
        self._not_rendered: deque[int] = deque()
        self._arrived = anyio.Event()
        #: Number of the last event that is gone, by bus topic.
        self._gone: dict[str, int] = {}
        self.oldest = bus.published + 1
        self.size_bytes = 0
        bus.keep_in(self)

    def __len__(self) -> int:
        return len(self._kept)

    def configure(self, max_bytes: int) -> None:
        """Apply another limit at once."""
        self._max_bytes = max_bytes
        self._drop_excess()

    def keep(self, event: Event) -> None:
        """Add the newest event, and drop the oldest ones if there is no room."""
        self._newest = event.sequence
        if not self._topics.fed_by(event.topic):
            return
        self._kept[event.sequence] = _Entry(event, 0)
        self._resize(event.sequence, _OVERHEAD_BYTES + _ASSUMED_BYTES)
        self._not_rendered.append(event.sequence)
        self._arrived.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Render each event after it was published; until cancelled."""
        task_status.started()
        while True:
            while self._not_rendered:
                sequence = self._not_rendered.popleft()
                if sequence in self._kept:
                    size_bytes = self._topics.measure(self._kept[sequence].event)
                    self._resize(sequence, _OVERHEAD_BYTES + size_bytes)
                    await checkpoint()
            self._arrived = anyio.Event()
            await self._arrived.wait()

    def between(self, after: int, until: int) -> Iterator[Event]:
        """Iterate over the kept events numbered above `after`, up to `until`, in order."""
        for sequence in range(max(after + 1, self.oldest), min(until, self._newest) + 1):
            entry = self._kept.get(sequence)
            if entry is not None:
                yield entry.event

    def lacks(self, after: int, sources: Iterable[str]) -> bool:
        """Return True if an event of the bus topics `sources`, numbered above `after`, is gone."""
        return after + 1 < self.oldest and any(self._gone.get(source, 0) > after for source in sources)

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe the size of the journal."""
        registry.gauge(
            "camera_agent_event_journal_events",
            "Events kept for clients that reconnect.",
            lambda: len(self._kept),
        )
        registry.gauge(
            "camera_agent_event_journal_bytes",
            "Memory of the events kept for clients that reconnect.",
            lambda: self.size_bytes,
        )

    def _resize(self, sequence: int, size_bytes: int) -> None:
        entry = self._kept[sequence]
        self.size_bytes += size_bytes - entry.size_bytes
        entry.size_bytes = size_bytes
        self._drop_excess()

    def _drop_excess(self) -> None:
        while self.size_bytes > self._max_bytes:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        entry = self._kept.pop(self.oldest, None)
        if entry is not None:
            self.size_bytes -= entry.size_bytes
            self._gone[entry.event.topic] = self.oldest
        self.oldest += 1

"""Events of one session in the order of their numbers: those replayed from the journal, then those that arrive."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from agent_core.base.events import Event, EventBus, Subscription
from agent_core.rpc.journal import EventJournal
from agent_core.rpc.notices import EventsDropped, Loss
from agent_core.rpc.subscriptions import Subscriptions
from agent_core.rpc.topics import EventTopics

__all__ = ("EventSource", "Feed", "Place")


@dataclass(frozen=True, slots=True)
class Place:
    """Place in the events of the start of the agent named `boot_id`: behind the event numbered `sequence`."""

    boot_id: str
    sequence: int


@dataclass(eq=False, slots=True)
class EventSource:
    """Events of the agent, shared by the sessions of one server.

    Args:
        bus: publishes them.
        journal: keeps the newest of them.
        topics: name and render them.
        capacity: most events that wait for one session; a change counts for sessions that begin later.
    """

    bus: EventBus
    journal: EventJournal
    topics: EventTopics
    capacity: int = 256

    @property
    def newest(self) -> Place:
        """The place behind the newest event."""
        return Place(self.bus.boot_id, self.bus.published)


class Feed:
    """Events that one session has subscribed to.

    A replay reads the journal at the pace of the peer. Events published meanwhile wait in the session's queue, as
    always; those published before the replay was requested, but not delivered yet, keep their places in the order.

    Args:
        source: the events.
        notify: called on the publisher's stack for each event that has to be delivered.

    Attributes:
        subscriptions: the topics; change them by `subscribe` only.
    """

    def __init__(self, source: EventSource, notify: Callable[[], None]) -> None:
        self._source = source
        self.subscriptions = Subscriptions(source.topics)
        self._live = Subscription(self.subscriptions.wants, source.capacity, notify=notify)
        self._notices: deque[EventsDropped] = deque()
        #: The replay has dealt with the events up to `_replayed`, and ends behind `_until`; None if there is none.
        self._replayed = source.bus.published
        self._until: int | None = None
        #: Number of the last event that was returned, or told as lost.
        self._position = source.bus.published
        self._is_awaited = False

    def open(self) -> AbstractContextManager[None]:
        """Queue events for as long as the context is open."""
        return self._source.bus.serve(self._live)

    def subscribe(self, topics: Sequence[str], device: str | None, replay_since: Place | None) -> Place:
        """Deliver `topics` from now on, or what has happened since `replay_since` first; return the newest place.

        With a `device`, events about other cameras are left out. Requesting a replay again delivers it again.

        Raises:
            InvalidParams: a topic does not exist.
        """
        self.subscriptions.check(topics)
        newest = self._source.newest
        if replay_since is None:
            self.subscriptions.add(topics, device, after=newest.sequence)
            return newest
        self._tell_dropped()
        done = self._done()
        self.subscriptions.begin_after(done)
        after = self._start_of(replay_since, newest)
        self.subscriptions.add(topics, device, after=after)
        self._replayed, self._until = min(after, done), newest.sequence
        self._live.wake()
        return newest

    def end_replay(self) -> None:
        """Deliver nothing more from the journal."""
        self._until = None
        self._notices.clear()

    async def receive(self) -> Event | EventsDropped:
        """Return the next event, or a notice of lost ones in their place; wait if there is none."""
        while (found := self._next()) is None:
            self._is_awaited = True
            try:
                await self._live.wait()
            finally:
                self._is_awaited = False
        self._position = found.sequence
        return found

    def wake(self) -> None:
        """Let `receive` look for events."""
        self._live.wake()

    @property
    def has_arrived(self) -> bool:
        """True if an event has arrived that is not delivered."""
        return self._live.oldest is not None

    @property
    def is_plain(self) -> bool:
        """True if a task waits in `receive`, and nothing comes before the events that have arrived."""
        return self._is_awaited and self._until is None and not self._notices and not self._live.has_dropped

    def take(self) -> Event:
        """Return the next event that has arrived, instead of `receive`; only while `is_plain`."""
        event = self._live.take()
        self._position = event.sequence
        return event

    def _done(self) -> int:
        """Return the number up to which the present subscriptions have got everything."""
        waiting = self._live.oldest
        done = self._source.bus.published if self._until is None else self._replayed
        return done if waiting is None else min(done, waiting.sequence - 1)

    def _start_of(self, place: Place, newest: Place) -> int:
        """Return the number behind which a replay since `place` begins; note a gap that the number does not tell."""
        reason: Loss | None = None
        if place.boot_id != newest.boot_id:
            reason = "agent_restarted"
        elif place.sequence > newest.sequence:
            reason = "unknown_sequence"
        if reason is None:
            return place.sequence
        self._tell(reason, after=0, until=self._source.journal.oldest - 1)
        return self._source.journal.oldest - 1

    def _tell(self, reason: Loss, *, after: int, until: int, count: int | None = None) -> None:
        lost = until - after if count is None else count
        boot_id = self._source.bus.boot_id
        self._notices.append(
            EventsDropped(sequence=until, count=lost, reason=reason, boot_id=boot_id, after=after)
        )

    def _tell_dropped(self) -> None:
        dropped = self._live.take_dropped()
        if dropped.count:
            after = min(self._position, dropped.sequence - 1)
            self._tell("slow_reader", after=after, until=dropped.sequence, count=dropped.count)

    def _next(self) -> Event | EventsDropped | None:
        replayed = self._from_journal()
        if self._until is None:
            self._tell_dropped()
        if self._notices:
            return self._notices.popleft()
        waiting = self._live.oldest
        if replayed is not None and (waiting is None or replayed.sequence < waiting.sequence):
            self._replayed = replayed.sequence
            return replayed
        if waiting is None:
            return None
        self._replayed = max(self._replayed, waiting.sequence)
        return self._live.take()

    def _from_journal(self) -> Event | None:
        """Return the next event of the replay; None if it has ended, or if it waits behind a notice."""
        while self._until is not None:
            if self._note_gap():
                return None
            for event in self._source.journal.between(self._replayed, self._until):
                if self.subscriptions.wants(event):
                    self._replayed = event.sequence - 1
                    return event
            # What the queue has dropped during the replay, the journal still has.
            dropped = self._live.take_dropped().sequence
            self._replayed = max(self._replayed, self._until)
            self._until = dropped if dropped > self._replayed else None
        return None

    def _note_gap(self) -> bool:
        """Tell of wanted events that are neither in the journal nor in the queue; return True if there are any."""
        journal, waiting = self._source.journal, self._live.oldest
        gap_end = journal.oldest - 1 if waiting is None else min(journal.oldest, waiting.sequence) - 1
        if gap_end <= self._replayed:
            return False
        is_lost = journal.lacks(self._replayed, self.subscriptions.sources)
        if is_lost:
            self._tell("journal_overflow", after=self._replayed, until=gap_end)
        self._replayed = gap_end
        return is_lost

"""Topics that one session has subscribed to."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from agent_core.auth.roles import Principal
from agent_core.base.events import Event
from agent_core.rpc.topics import EventTopics

__all__ = ("Subscriptions",)


@dataclass(frozen=True, slots=True)
class _Wish:
    """Subscription under one name: events about `device`, or any for None, that are numbered above `after`."""

    device: str | None
    after: int

    def includes(self, event: Event) -> bool:
        if event.sequence <= self.after:
            return False
        return self.device is None or event.camera is None or event.camera == self.device


class Subscriptions:
    """Topics of one session with their filters, each under the name that the client used.

    Two names of one topic are two subscriptions, of which either can end; an event that both want is sent once. While
    `suspended`, they match no event.
    """

    def __init__(self, topics: EventTopics) -> None:
        self._all = topics
        self._wishes: dict[str, _Wish] = {}
        #: The subscribed topics that a bus topic feeds, each with its subscriptions; events are compared with nothing else.
        self._fed: dict[str, tuple[tuple[str, tuple[_Wish, ...]], ...]] = {}
        self.suspended = False

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._wishes)

    @property
    def sources(self) -> frozenset[str]:
        """The bus topics that feed the subscribed topics."""
        return frozenset(self._fed)

    def check(self, topics: Sequence[str]) -> None:
        """Raise InvalidParams if one of `topics` does not exist."""
        self._all.check(topics)

    def add(self, topics: Sequence[str], device: str | None, *, after: int) -> None:
        """Subscribe to topics under any of their names, to events numbered above `after`.

        A name subscribed to before gets the new filter, and still gets the events that wait for it.
        """
        for topic in topics:
            before = self._wishes.get(topic)
            self._wishes[topic] = _Wish(device, after if before is None else min(after, before.after))
        self._sort()

    def begin_after(self, sequence: int) -> None:
        """Leave out, from all subscriptions, events up to `sequence`: they have been dealt with."""
        self._wishes = {
            name: replace(wish, after=max(sequence, wish.after)) for name, wish in self._wishes.items()
        }
        self._sort()

    def remove(self, topics: Sequence[str] | None) -> tuple[str, ...]:
        """End the subscriptions under the names `topics`, or all for None; return those that there were.

        Raises:
            InvalidParams: a topic does not exist.
        """
        self._all.check(topics or ())
        named = self.topics if topics is None else dict.fromkeys(topics)
        removed = tuple(topic for topic in named if topic in self._wishes)
        for topic in removed:
            del self._wishes[topic]
        self._sort()
        return removed

    def wants(self, event: Event) -> bool:
        """Return True if `event` feeds a subscribed topic and passes its filter; renders nothing."""
        if self.suspended:
            return False
        for _, wishes in self._fed.get(event.topic, ()):
            for wish in wishes:
                if wish.includes(event):
                    return True
        return False

    def notifications(self, event: Event, receiver: Principal | None = None) -> list[str]:
        """Return the texts to send to `receiver` for `event`: one per subscribed topic that it feeds."""
        if self.suspended:
            return []
        texts = [
            self._all.render(topic, event, receiver)
            for topic, wishes in self._fed.get(event.topic, ())
            if any(wish.includes(event) for wish in wishes)
        ]
        return [text for text in texts if text is not None]

    def _sort(self) -> None:
        """Look up once what each event would have to look up again."""
        sources = {source for name in self._wishes for source in self._all.sources_of(name)}
        self._fed = {source: tuple(self._subscribed(self._all.fed_by(source))) for source in sources}

    def _subscribed(self, topics: Iterable[str]) -> Iterator[tuple[str, tuple[_Wish, ...]]]:
        for topic in topics:
            wishes = [self._wishes[name] for name in self._all.names_of(topic) if name in self._wishes]
            if wishes:
                yield topic, tuple(wishes)

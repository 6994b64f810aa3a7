"""Topics that one session has subscribed to."""

from collections.abc import Sequence
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
        self.suspended = False

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._wishes)

    @property
    def sources(self) -> frozenset[str]:
        """The bus topics that feed the subscribed topics."""
        return frozenset(source for name in self._wishes for source in self._all.sources_of(name))

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

    def begin_after(self, sequence: int) -> None:
        """Leave out, from all subscriptions, events up to `sequence`: they have been dealt with."""
        self._wishes = {
            name: replace(wish, after=max(sequence, wish.after)) for name, wish in self._wishes.items()
        }

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
        return removed

    def wants(self, event: Event) -> bool:
        """Return True if `event` feeds a subscribed topic and passes its filter; renders nothing."""
        return bool(self._wishes) and bool(self._matching(event))

    def notifications(self, event: Event, receiver: Principal | None = None) -> tuple[str, ...]:
        """Return the texts to send to `receiver` for `event`: one per subscribed topic that it feeds."""
        texts = (self._all.render(topic, event, receiver) for topic in self._matching(event))
        return tuple(text for text in texts if text is not None)

    def _matching(self, event: Event) -> tuple[str, ...]:
        """Return the subscribed topics that `event` feeds; events about no single camera pass every filter."""
        if self.suspended:
            return ()
        return tuple(topic for topic in self._all.fed_by(event.topic) if self._passes(topic, event))

    def _passes(self, topic: str, event: Event) -> bool:
        """Return True if a name of `topic` is subscribed to whose filter lets `event` through."""
        wishes = self._wishes
        return any(name in wishes and wishes[name].includes(event) for name in self._all.names_of(topic))

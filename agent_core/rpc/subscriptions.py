"""What one connection wants to hear."""

from collections.abc import Sequence

from agent_core.base.events import Event
from agent_core.rpc.topics import EventForms

__all__ = ("Subscriptions",)


class Subscriptions:
    """Topics with their filters. While `suspended` nothing is wanted, and nothing is forgotten."""

    def __init__(self, forms: EventForms) -> None:
        self._forms = forms
        self._devices: dict[str, str | None] = {}
        self.suspended = False

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._devices)

    def add(self, topics: Sequence[str], device: str | None) -> None:
        """Topics under any of their names; a topic that was there gets the new filter. Raises InvalidParams."""
        for topic in self._forms.resolve(topics):
            self._devices[topic] = device

    def remove(self, topics: Sequence[str] | None) -> tuple[str, ...]:
        """None removes all; what was there is returned. Raises InvalidParams."""
        named = self.topics if topics is None else self._forms.resolve(topics)
        removed = tuple(topic for topic in named if topic in self._devices)
        for topic in removed:
            del self._devices[topic]
        return removed

    def wants(self, event: Event) -> bool:
        return bool(self._devices) and bool(self.notifications(event))

    def notifications(self, event: Event) -> tuple[str, ...]:
        """The texts to send for `event`; one a topic that it feeds and that is subscribed to."""
        if self.suspended:
            return ()
        texts: tuple[str, ...] = ()
        for topic in self._forms.fed_by(event.topic):
            if topic in self._devices:
                rendered = self._forms.render(topic, event)
                if rendered is not None and rendered.passes(self._devices[topic]):
                    texts = (*texts, rendered.text)
        return texts

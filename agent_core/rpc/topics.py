"""What clients can subscribe to, and how an event of the agent becomes the notifications they get."""

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from agent_core.base.errors import InvalidParams, PluginError
from agent_core.base.events import Event
from agent_core.rpc.errors import without_device_paths
from agent_core.rpc.params import nearest
from agent_core.rpc.protocol import notification

__all__ = (
    "ALIASES",
    "CORE_TOPICS",
    "AuthExpired",
    "EventForms",
    "EventsDropped",
    "Rendered",
    "Subscriptions",
    "Topic",
)

_LOG = logging.getLogger("camera_agent.rpc")
_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

#: A payload as the wire has it: a model, or a mapping; a member `device` is what filters compare.
Form = BaseModel | Mapping[str, object]
Render = Callable[[Any], Form]


@dataclass(frozen=True, slots=True)
class Topic:
    """One name that can be subscribed to. `method` is the notification's; `sources` the bus topics that feed it."""

    name: str
    method: str
    sources: tuple[str, ...]


def _same(name: str) -> Topic:
    return Topic(name, name, (name,))


_CAMERA = ("camera.connected", "camera.disconnected", "camera.status_change")
_RECORDING = ("recording.start", "recording.stop", "recording.error")
_SYSTEM = ("system.health", "system.startup", "system.shutdown")

CORE_TOPICS: tuple[Topic, ...] = (
    *(_same(name) for name in (*_CAMERA, *_RECORDING, "snapshot.taken", *_SYSTEM, "plugin.quarantined")),
    Topic("camera_status_update", "camera_status_update", _CAMERA),
    # `recording.state` is on the bus only: the steps (STARTING among them) that have no topic of their own.
    Topic("recording_status_update", "recording_status_update", (*_RECORDING, "recording.state")),
    Topic("system_health_update", "system_health_update", ("system.health",)),
)
#: Other names for the same topic; notifications carry the canonical method.
ALIASES: tuple[tuple[str, str], ...] = (
    ("recording.started", "recording.start"),
    ("recording.stopped", "recording.stop"),
)


class EventsDropped(BaseModel):
    """Params of `system.events_dropped`: how many events this client lost because it read too slowly."""

    count: int


class AuthExpired(BaseModel):
    """Params of `system.auth_expired`, the last event until the connection authenticates again."""

    details: str = "The credentials have expired; events and calls stop until authenticate is called again."


@dataclass(frozen=True, slots=True)
class Rendered:
    """A notification ready to send. `device` is None for events that are not about one camera."""

    device: str | None
    text: str

    def passes(self, device: str | None) -> bool:
        """Whether a subscriber whose filter is `device` gets it: events that are not about a camera pass any."""
        return device is None or self.device is None or self.device == device


class EventForms:
    """The topics that exist and, for each, the function from an event's payload to its params.

    Filled while the agent starts. An event is rendered once for all sessions.
    """

    #: Events rendered lately; more than can be under way between a publisher and the sessions' filters.
    _KEPT = 64

    def __init__(self, topics: Sequence[Topic] = CORE_TOPICS) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._aliases = dict(ALIASES)
        self._fed = _by_source(topics)
        self._renders: dict[str, Render] = {}
        self._cache: OrderedDict[tuple[str, int], tuple[Event, Rendered | None]] = OrderedDict()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything `subscribe_events` takes, aliases included."""
        return (*self._topics, *self._aliases)

    def register(self, topic: str, render: Render) -> None:
        """Say how `topic`'s params are made. Until then its events are logged as a bug and not delivered."""
        if topic not in self._topics:
            raise ValueError(f"there is no topic {topic}")
        self._renders[topic] = render

    def add_plugin_topic(self, plugin: str, topic: str, render: Render | None = None) -> None:
        """Let clients subscribe to `<plugin>.<word>`; without `render` the payload's own fields are the params.

        Raises:
            PluginError: not a topic this plugin may name, or one that exists.
        """
        prefix, _, word = topic.partition(".")
        if prefix != plugin or not _WORD.fullmatch(word) or topic in self.names:
            raise PluginError(
                f"The plugin {plugin} cannot have the topic {topic}.",
                reason="topic_refused",
                suggestion=f"Name it {plugin}.<word>, once.",
            )
        self._topics[topic] = _same(topic)
        self._fed = _by_source(self._topics.values())
        self._renders[topic] = render or _own_fields

    def resolve(self, names: Sequence[str]) -> tuple[str, ...]:
        """The canonical topics for `names`, each once.

        Raises:
            InvalidParams: one does not exist; names those that do.
        """
        for name in names:
            if name not in self.names:
                raise InvalidParams(
                    f"There is no such topic: {name[:100]!r}. There are: {', '.join(self.names)}.",
                    param="topics",
                    rule="unknown_topic",
                    hint=nearest(name, self.names, otherwise="Use one of the topics named in details."),
                )
        return tuple(dict.fromkeys(self._aliases.get(name, name) for name in names))

    def fed_by(self, source: str) -> tuple[str, ...]:
        """The topics that a bus topic feeds."""
        return self._fed.get(source, ())

    def render(self, topic: str, event: Event) -> Rendered | None:
        """The notification for subscribers of `topic`; None, logged once, where it cannot be made."""
        key = (topic, id(event))
        kept = self._cache.get(key)
        if kept is not None:
            return kept[1]  # The cache holds the event, so its id is not another's.
        rendered = self._try_render(self._topics[topic], event)
        self._cache[key] = (event, rendered)
        if len(self._cache) > self._KEPT:
            self._cache.popitem(last=False)
        return rendered

    def _try_render(self, topic: Topic, event: Event) -> Rendered | None:
        try:
            form = self._renders[topic.name](event.payload)
            params = to_json(form, by_alias=True, exclude_none=True).decode()
        except Exception:  # noqa: BLE001 - whatever a form does wrong, publishing never fails
            _LOG.exception("an event of the topic %s cannot be shown to clients", topic.name)
            return None
        device = form.get("device") if isinstance(form, Mapping) else getattr(form, "device", None)
        text = notification(topic.method, without_device_paths(params))
        return Rendered(device if isinstance(device, str) else None, text)


def _by_source(topics: Iterable[Topic]) -> dict[str, tuple[str, ...]]:
    fed: dict[str, tuple[str, ...]] = {}
    for topic in topics:
        for source in topic.sources:
            fed[source] = (*fed.get(source, ()), topic.name)
    return fed


def _own_fields(payload: object) -> Form:
    if isinstance(payload, BaseModel | Mapping):
        return payload
    return {name: getattr(payload, name) for name in getattr(payload, "__dataclass_fields__", ())}


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

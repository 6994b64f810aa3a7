"""Topics that clients subscribe to, and the rendering of events as notifications."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import BaseModel
from pydantic_core import to_json

from agent_core.auth.roles import Principal
from agent_core.base.errors import InvalidParams, PluginError
from agent_core.base.events import Event
from agent_core.base.models import CameraId
from agent_core.rpc.errors import without_device_paths
from agent_core.rpc.params import nearest
from agent_core.rpc.protocol import notification

__all__ = (
    "ALIASES",
    "CORE_TOPICS",
    "AuthExpired",
    "EventTopics",
    "EventsDropped",
    "Notification",
    "PersonalRender",
    "Render",
    "Subscriptions",
    "Topic",
)

_LOG = logging.getLogger("camera_agent.rpc")
_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)

#: Parameters of a notification, as they are serialized.
EventParams = BaseModel | Mapping[str, object]
#: Returns the parameters for an event's payload and its time of publication.
Render = Callable[[Any, datetime], EventParams]
#: The same for one receiver, whose links the parameters contain.
PersonalRender = Callable[[Any, datetime, Principal], EventParams]


@dataclass(frozen=True, slots=True)
class Notification:
    """Notification as `rpc.discover` describes it.

    Attributes:
        method: its method.
        topics: names of the topic that clients subscribe to; empty if every connection with a subscription gets it.
        summary: one sentence.
        form: type of its parameters; None if a plugin decides about them.
    """

    method: str
    topics: tuple[str, ...]
    summary: str
    form: type[BaseModel] | None


@dataclass(frozen=True, slots=True)
class Topic:
    """Topic for clients; the bus topics in `sources` feed it, and notifications carry `method`."""

    name: str
    method: str
    sources: tuple[str, ...]


def _same(name: str) -> Topic:
    return Topic(name, name, (name,))


_CAMERA = ("camera.connected", "camera.disconnected", "camera.status_change")
_RECORDING = ("recording.start", "recording.stop", "recording.error")
_SYSTEM = ("system.health", "system.startup", "system.shutdown")

CORE_TOPICS: tuple[Topic, ...] = (
    *(_same(name) for name in ("camera.connected", "camera.disconnected")),
    # A camera that appears or disappears changes its status as well.
    Topic("camera.status_change", "camera.status_change", _CAMERA),
    *(_same(name) for name in (*_RECORDING, "snapshot.taken", *_SYSTEM, "plugin.quarantined")),
    Topic("camera_status_update", "camera_status_update", _CAMERA),
    # `recording.state` exists on the bus only: states, such as STARTING, that have no topic of their own.
    Topic("recording_status_update", "recording_status_update", (*_RECORDING, "recording.state")),
    Topic("system_health_update", "system_health_update", ("system.health",)),
)
#: Other names for the same topic; notifications carry the canonical method.
ALIASES: tuple[tuple[str, str], ...] = (
    ("recording.started", "recording.start"),
    ("recording.stopped", "recording.stop"),
)


class EventsDropped(BaseModel):
    """Params of `system.events_dropped`: number of events that this client lost by reading too slowly."""

    count: int


class AuthExpired(BaseModel):
    """Params of `system.auth_expired`, the last event until the connection authenticates again."""

    details: str = "The credentials have expired; events and calls stop until authenticate is called again."


#: Notifications that need no subscription to a topic of their own.
_OF_CONNECTIONS = (
    Notification(
        "system.events_dropped", (), "Tell how many events this connection has lost.", EventsDropped
    ),
    Notification("system.auth_expired", (), "Tell that the credentials have expired.", AuthExpired),
)


class EventTopics:
    """Registry of topics, with the function that renders each topic's parameters.

    Filled while the agent starts. An event is rendered at its first delivery, once for each topic, for all sessions; with
    links, once for all sessions of the same credentials.
    """

    def __init__(self, topics: Sequence[Topic] = CORE_TOPICS) -> None:
        self._topics = {topic.name: topic for topic in topics}
        self._aliases = dict(ALIASES)
        self._names = {
            topic: (topic, *(alias for alias, canonical in ALIASES if canonical == topic))
            for _, topic in ALIASES
        }
        self._fed = _by_source(topics)
        self._renders: dict[str, Render] = {}
        self._personal: dict[str, PersonalRender] = {}
        self._described: dict[str, Notification] = {}
        #: Texts by topic and, for personal ones, credential, kept while a session's queue holds the event; None is a
        #: failure already logged.
        self._texts: WeakKeyDictionary[Event, dict[tuple[str, str], str | None]] = WeakKeyDictionary()

    @property
    def names(self) -> tuple[str, ...]:
        """All names that `subscribe_events` accepts, aliases included."""
        return (*self._topics, *self._aliases)

    def register(
        self, topic: str, render: Render, *, form: type[BaseModel] | None = None, summary: str = ""
    ) -> None:
        """Set the function for the parameters of `topic`; without one its events are logged as a bug and dropped.

        Args:
            topic: the topic's own name.
            render: makes the parameters.
            form: the type that `render` returns, for `rpc.discover`.
            summary: what the topic tells, one sentence for `rpc.discover`.

        Raises:
            ValueError: the topic does not exist.
        """
        if topic not in self._topics:
            raise ValueError(f"unknown topic {topic}")
        self._renders[topic] = render
        self._describe(topic, form, summary)

    def register_personal(
        self, topic: str, render: PersonalRender, *, form: type[BaseModel] | None = None, summary: str = ""
    ) -> None:
        """Do as `register`, for parameters with links, which belong to the receiver. Raises ValueError."""
        if topic not in self._topics:
            raise ValueError(f"unknown topic {topic}")
        self._personal[topic] = render
        self._describe(topic, form, summary)

    def _describe(self, topic: str, form: type[BaseModel] | None, summary: str) -> None:
        method = self._topics[topic].method
        self._described[topic] = Notification(method, self.names_of(topic), summary, form)

    @property
    def notifications(self) -> tuple[Notification, ...]:
        """All notifications that a connection may receive, those about the connection itself included."""
        return (*self._described.values(), *_OF_CONNECTIONS)

    def add_plugin_topic(self, plugin: str, topic: str) -> None:
        """Let clients subscribe to `<plugin>.<word>`; the payload's own fields are the parameters.

        Raises:
            PluginError: the topic does not start with the plugin's name, or it exists already.
        """
        prefix, _, word = topic.partition(".")
        if prefix != plugin or not _WORD.fullmatch(word) or topic in self.names:
            raise PluginError(
                f"The plugin {plugin} cannot register the topic {topic}.",
                reason="topic_refused",
                suggestion=f"Name it {plugin}.<word>, and register it once.",
            )
        self._topics[topic] = _same(topic)
        self._fed = _by_source(self._topics.values())
        self.register(topic, _own_fields, summary=f"Tell what the plugin {plugin} has published.")

    def check(self, names: Sequence[str]) -> None:
        """Check that every one of `names` is a topic or another name of one.

        Raises:
            InvalidParams: a topic does not exist; the error lists those that do.
        """
        for name in names:
            if name not in self.names:
                raise InvalidParams(
                    f"Unknown topic {name[:100]!r}. The topics are: {', '.join(self.names)}.",
                    param="topics",
                    rule="unknown_topic",
                    hint=nearest(name, self.names, otherwise="Use one of the topics named in details."),
                )

    def names_of(self, topic: str) -> tuple[str, ...]:
        """Return all names under which clients subscribe to `topic`, its own first."""
        return self._names.get(topic, (topic,))

    def fed_by(self, source: str) -> tuple[str, ...]:
        """Return the topics that a bus topic feeds."""
        return self._fed.get(source, ())

    def render(self, topic: str, event: Event, receiver: Principal | None = None) -> str | None:
        """Return the text of the notification for subscribers of `topic`; None, logged once, if rendering fails."""
        texts = self._texts.get(event)
        if texts is None:
            texts = self._texts[event] = {}
        key = (topic, receiver.credential if receiver is not None and topic in self._personal else "")
        if key not in texts:
            texts[key] = self._try_render(self._topics[topic], event, receiver)
        return texts[key]

    def _try_render(self, topic: Topic, event: Event, receiver: Principal | None) -> str | None:
        personal = self._personal.get(topic.name)
        try:
            if personal is not None and receiver is not None:
                params = personal(event.payload, event.at, receiver)
            else:
                params = self._renders[topic.name](event.payload, event.at)
            text = to_json(params, by_alias=True, exclude_none=True).decode()
        except Exception:  # noqa: BLE001 - a faulty payload loses its event, never the session
            _LOG.exception("cannot render an event of the topic %s for clients", topic.name)
            return None
        return notification(topic.method, without_device_paths(text))


def _by_source(topics: Iterable[Topic]) -> dict[str, tuple[str, ...]]:
    fed: dict[str, tuple[str, ...]] = {}
    for topic in topics:
        for source in topic.sources:
            fed[source] = (*fed.get(source, ()), topic.name)
    return fed


def _own_fields(payload: object, _at: datetime) -> EventParams:
    if isinstance(payload, BaseModel | Mapping):
        return payload
    return {name: getattr(payload, name) for name in getattr(payload, "__dataclass_fields__", ())}


class Subscriptions:
    """Topics of one session with their filters, each under the name that the client used.

    Two names of one topic are two subscriptions, of which either can end; an event that both want is sent once. While
    `suspended`, they match no event.
    """

    def __init__(self, topics: EventTopics) -> None:
        self._all = topics
        self._devices: dict[str, str | None] = {}
        self.suspended = False

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self._devices)

    def add(self, topics: Sequence[str], device: str | None) -> None:
        """Subscribe to topics under any of their names; a name subscribed to before gets the new filter.

        Raises:
            InvalidParams: a topic does not exist.
        """
        self._all.check(topics)
        for topic in topics:
            self._devices[topic] = device

    def remove(self, topics: Sequence[str] | None) -> tuple[str, ...]:
        """End the subscriptions under the names `topics`, or all for None; return those that there were.

        Raises:
            InvalidParams: a topic does not exist.
        """
        self._all.check(topics or ())
        named = self.topics if topics is None else dict.fromkeys(topics)
        removed = tuple(topic for topic in named if topic in self._devices)
        for topic in removed:
            del self._devices[topic]
        return removed

    def wants(self, event: Event) -> bool:
        """Return True if `event` feeds a subscribed topic and passes its filter; renders nothing."""
        return bool(self._devices) and bool(self._matching(event))

    def notifications(self, event: Event, receiver: Principal | None = None) -> tuple[str, ...]:
        """Return the texts to send to `receiver` for `event`: one per subscribed topic that it feeds."""
        texts = (self._all.render(topic, event, receiver) for topic in self._matching(event))
        return tuple(text for text in texts if text is not None)

    def _matching(self, event: Event) -> tuple[str, ...]:
        """Return the subscribed topics that `event` feeds; events about no single camera pass every filter."""
        if self.suspended:
            return ()
        return tuple(topic for topic in self._all.fed_by(event.topic) if self._passes(topic, event.camera))

    def _passes(self, topic: str, camera: CameraId | None) -> bool:
        """Return True if a name of `topic` is subscribed to whose filter lets events about `camera` through."""
        names = [name for name in self._all.names_of(topic) if name in self._devices]
        return any(camera is None or self._devices[name] in (None, camera) for name in names)

"""Topics that clients subscribe to, and the rendering of events as notifications."""

import logging
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

from pydantic import BaseModel
from pydantic_core import to_json

from agent_core.auth.roles import Principal
from agent_core.base.errors import InvalidParams, PluginError
from agent_core.base.events import Event, Stamp
from agent_core.rpc.errors import without_device_paths
from agent_core.rpc.notices import AuthExpired, EventForm, EventsDropped
from agent_core.rpc.params import nearest
from agent_core.rpc.protocol import notification

__all__ = (
    "ALIASES",
    "CORE_TOPICS",
    "EventTopics",
    "Notification",
    "PersonalRender",
    "Render",
    "Topic",
)

_LOG = logging.getLogger("camera_agent.rpc")
_WORD = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
#: Newest events whose whole texts are kept, because sessions deliver them at about the same time.
_RECENT = 64
#: Texts kept of one event: one per topic and, with links, per credential.
_TEXTS_OF_EVENT = 64

#: Parameters of a notification, as they are serialized; a mapping has `sequence` as well.
EventParams = EventForm | Mapping[str, object]
#: Returns the parameters for an event's payload, with its number and time.
Render = Callable[[Any, Stamp], EventParams]
#: The same for one receiver, whose links the parameters contain; without links for None.
PersonalRender = Callable[[Any, Stamp, Principal | None], EventParams]


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
    _same("camera.controls"),
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


#: Notifications that need no subscription to a topic of their own.
_OF_CONNECTIONS = (
    Notification(
        "system.events_dropped", (), "Tell how many events this connection has lost.", EventsDropped
    ),
    Notification("system.auth_expired", (), "Tell that the credentials have expired.", AuthExpired),
)


class EventTopics:
    """Registry of topics, with the function that renders each topic's parameters.

    Filled while the agent starts. Topics with the same function share the parameters of an event: they are rendered once,
    for all sessions, and kept as long as the event. With links, they are rendered once for all sessions of the same
    credentials.
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
        self._rendered: WeakKeyDictionary[Event, _Rendered] = WeakKeyDictionary()
        #: Events whose texts are kept, the oldest first.
        self._recent: deque[ReferenceType[Event]] = deque()

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

    def sources_of(self, name: str) -> tuple[str, ...]:
        """Return the bus topics that feed the topic with this name; none if it does not exist."""
        topic = self._topics.get(self._aliases.get(name, name))
        return () if topic is None else topic.sources

    def fed_by(self, source: str) -> tuple[str, ...]:
        """Return the topics that a bus topic feeds."""
        return self._fed.get(source, ())

    def render(self, topic: str, event: Event, receiver: Principal | None = None) -> str | None:
        """Return the text of the notification for subscribers of `topic`; None, logged once, if rendering fails."""
        rendered = self._rendering(event)
        key = (topic, receiver.credential if receiver is not None and topic in self._personal else "")
        if key in rendered.texts:
            return rendered.texts[key]
        params = self._params(topic, event, receiver, rendered)
        text = None if params is None else notification(self._topics[topic].method, params)
        if rendered.keeps_texts and len(rendered.texts) < _TEXTS_OF_EVENT:
            rendered.texts[key] = text
        return text

    def measure(self, event: Event) -> int:
        """Render what the topics fed by `event` share, and return its size in bytes."""
        rendered = self._rendering(event)
        found = {
            id(params): params
            for topic in self.fed_by(event.topic)
            if (params := self._params(topic, event, None, rendered))
        }
        return sum(len(params.encode()) for params in found.values())

    def _rendering(self, event: Event) -> "_Rendered":
        """Return what is kept of `event`; only the newest events keep their texts."""
        rendered = self._rendered.get(event)
        if rendered is None:
            rendered = self._rendered[event] = _Rendered()
            self._recent.append(ref(event))
            if len(self._recent) > _RECENT:
                aged = self._recent.popleft()()
                if aged is not None:
                    self._rendered[aged].drop_texts()
        return rendered

    def _params(
        self, topic: str, event: Event, receiver: Principal | None, rendered: "_Rendered"
    ) -> str | None:
        personal = self._personal.get(topic)
        if personal is not None:
            return _try_render(topic, lambda: personal(event.payload, event.stamp, receiver))
        render = self._renders.get(topic, _unregistered)
        if render not in rendered.params:
            rendered.params[render] = _try_render(topic, lambda: render(event.payload, event.stamp))
        return rendered.params[render]


@dataclass(slots=True)
class _Rendered:
    """Rendered parts of one event; None is a failure already logged.

    Attributes:
        params: parameters by the function that has rendered them.
        texts: notifications by topic and, for personal ones, credential.
        keeps_texts: False for an event that is only kept for replays.
    """

    params: dict[Render, str | None] = field(default_factory=dict)
    texts: dict[tuple[str, str], str | None] = field(default_factory=dict)
    keeps_texts: bool = True

    def drop_texts(self) -> None:
        self.keeps_texts = False
        self.texts.clear()


def _try_render(topic: str, render: Callable[[], EventParams]) -> str | None:
    try:
        text = to_json(render(), by_alias=True, exclude_none=True).decode()
    except Exception:  # noqa: BLE001 - a faulty payload loses its event, never the session
        _LOG.exception("cannot render an event of the topic %s for clients", topic)
        return None
    return without_device_paths(text)


def _unregistered(_payload: object, _stamp: Stamp) -> EventParams:
    raise LookupError("the topic has no function for its parameters")


def _by_source(topics: Iterable[Topic]) -> dict[str, tuple[str, ...]]:
    fed: dict[str, tuple[str, ...]] = {}
    for topic in topics:
        for source in topic.sources:
            fed[source] = (*fed.get(source, ()), topic.name)
    return fed


def _own_fields(payload: object, stamp: Stamp) -> EventParams:
    if isinstance(payload, Mapping):
        own = payload
    elif isinstance(payload, BaseModel):
        own = payload.model_dump(mode="json", by_alias=True, exclude_none=True)
    else:
        own = {name: getattr(payload, name) for name in getattr(payload, "__dataclass_fields__", ())}
    return {**own, "sequence": stamp.sequence}

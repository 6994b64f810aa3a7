"""Events of many agents, with the gaps between them."""

from collections import deque
from dataclasses import dataclass, replace

import anyio
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.client.agents import Roster
from mqtt_bridge.client.selector import Selector
from mqtt_bridge.identity import AGENT_ID

__all__ = ("EventWatch", "FleetEvent")

_EVENTS_DROPPED = "system.events_dropped"
#: A larger payload is not an event of an agent.
_EVENT_BYTES = 262_144
#: Agents whose numbers are remembered; anyone who may publish at the broker can make up agents.
_AGENTS = 200_000
#: Largest number of an event.
_MOST_EVENTS = 2**53
#: Size of the payloads of unread events.
_HELD_BYTES = 67_108_864


class _Form(BaseModel):
    """Payload of an event; other members are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    topic: str
    boot_id: str
    sequence: int = Field(ge=0, le=_MOST_EVENTS)
    params: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class FleetEvent:
    """Event of an agent.

    Attributes:
        agent: id of the agent.
        topic, params: the event, as on the agent's socket.
        boot_id: start of the agent that `sequence` counts from.
        sequence: number of the event.
        missed: number of the agent's events that are missing before this one: lost, dropped by the agent or by this client, or of topics that
            the agent does not publish.
        has_restarted: the agent has started anew since its last event here; how many were missed then is not known.
    """

    agent: str
    topic: str
    params: dict[str, JsonValue]
    boot_id: str
    sequence: int
    missed: int = 0
    has_restarted: bool = False


@dataclass(frozen=True, slots=True)
class _Progress:
    """Last event of an agent; `topics` are those that have come with its number."""

    boot_id: str
    sequence: int
    topics: frozenset[str]


class EventWatch:
    """Async iterator of events; it holds the newest `capacity` unread ones, of at most 64 MiB."""

    def __init__(self, prefix: str, selector: Selector, capacity: int) -> None:
        if capacity < 1:
            raise ValueError("capacity must be at least 1")
        self._root = f"{prefix}/"
        self._selector = selector
        self._roster = Roster(prefix)
        self._capacity = capacity
        #: Unread events, each with the size of its payload.
        self._held: deque[tuple[FleetEvent, int]] = deque()
        self._held_bytes = 0
        #: Events that were dropped here, by agent, and not told yet.
        self._dropped: dict[str, int] = {}
        self._progress: dict[str, _Progress] = {}
        self._arrived = anyio.Event()

    @property
    def filters(self) -> tuple[str, ...]:
        """Filters to subscribe to; the state comes first, as labels decide about events."""
        events = f"{self._root}{self._selector.only or '+'}/events/#"
        return (*self._roster.filters(), events) if self._selector.label else (events,)

    def take(self, message: Incoming) -> None:
        """Take a message of any topic; what is no event of a chosen agent is ignored."""
        agent, _, what = message.topic.removeprefix(self._root).partition("/")
        if not what.startswith("events/"):
            self._roster.take(message)
            return
        if message.retained or not self._is_chosen(agent) or len(message.payload) > _EVENT_BYTES:
            return
        try:
            form = _Form.model_validate_json(message.payload)
        except ValidationError:
            return
        if what == f"events/{form.topic}":
            self._offer(agent, form, len(message.payload))

    def _is_chosen(self, agent: str) -> bool:
        if not AGENT_ID.fullmatch(agent):
            return False
        if self._selector.label:
            known = self._roster.get(agent)
            return known is not None and self._selector.matches(known)
        return self._selector.matches_id(agent)

    def _offer(self, agent: str, form: _Form, size_bytes: int) -> None:
        before = self._progress.pop(agent, None)
        topics = frozenset({form.topic})
        missed, has_restarted = 0, False
        if before is not None and before.boot_id == form.boot_id:
            if form.sequence < before.sequence or (
                form.sequence == before.sequence and form.topic in before.topics
            ):
                self._progress[agent] = before
                return  # sent again
            missed = max(0, form.sequence - before.sequence - 1)
            if form.sequence == before.sequence:
                topics |= before.topics
        elif before is not None:
            has_restarted = True
        if form.topic == _EVENTS_DROPPED:
            missed = _dropped_count(form, missed)
        self._remember(agent, _Progress(form.boot_id, form.sequence, topics))
        self._hold(
            FleetEvent(agent, form.topic, form.params, form.boot_id, form.sequence, missed, has_restarted),
            size_bytes,
        )

    def _remember(self, agent: str, progress: _Progress) -> None:
        if len(self._progress) >= _AGENTS:
            self._progress.pop(next(iter(self._progress)))
        self._progress[agent] = progress

    def _hold(self, event: FleetEvent, size_bytes: int) -> None:
        self._held.append((event, size_bytes))
        self._held_bytes += size_bytes
        while len(self._held) > self._capacity or self._held_bytes > _HELD_BYTES:
            self._drop_oldest()
        self._arrived.set()

    def _drop_oldest(self) -> None:
        oldest = self._next_held()
        dropped = self._dropped.pop(oldest.agent, 0) + 1 + oldest.missed
        if len(self._dropped) >= _AGENTS:
            self._dropped.pop(next(iter(self._dropped)))
        self._dropped[oldest.agent] = dropped

    def _next_held(self) -> FleetEvent:
        event, size_bytes = self._held.popleft()
        self._held_bytes -= size_bytes
        return event

    def __aiter__(self) -> "EventWatch":
        return self

    async def __anext__(self) -> FleetEvent:
        """Return the next event; wait for it, also while the broker is away."""
        while not self._held:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        event = self._next_held()
        dropped = self._dropped.pop(event.agent, 0)
        return replace(event, missed=event.missed + dropped) if dropped else event


def _dropped_count(form: _Form, otherwise: int) -> int:
    """Return the number of events that a notice tells of; `otherwise` if it tells none that can be."""
    count = form.params.get("count")
    return count if type(count) is int and 0 <= count <= _MOST_EVENTS else otherwise

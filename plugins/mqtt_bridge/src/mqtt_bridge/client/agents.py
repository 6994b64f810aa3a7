"""Agents as their retained topics at the broker describe them. Nothing there is signed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, ConfigDict, ValidationError

from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.identity import AGENT_ID

__all__ = ("AgentLimits", "FleetAgent", "Roster")

#: Level beside the agents', below which clients receive replies.
_REPLIES = "replies"
#: A larger description is not one of an agent.
_STATE_BYTES = 65_536
#: Agents that are remembered, and the size of their descriptions: anyone who may publish at the broker can make up agents.
_AGENTS, _ALL_STATES_BYTES = 200_000, 268_435_456


class AgentLimits(BaseModel):
    """Limits of an agent's bridge, as far as a client needs them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    calls: bool = True
    max_request_bytes: int = 65_536
    max_reply_bytes: int = 1_048_576


class _State(BaseModel):
    """Payload of `state/agent`; other members are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    version: str = ""
    boot_id: str = ""
    started_at: datetime | None = None
    labels: dict[str, str] = {}
    limits: AgentLimits = AgentLimits()


@dataclass(frozen=True, slots=True)
class FleetAgent:
    """Agent of a fleet, as it was last seen.

    Attributes:
        id: id at the broker.
        is_online: the agent is connected to the broker.
        name: name for people; empty if not known.
        version: version of the agent; empty if not known.
        boot_id: start of the agent; empty if not known.
        started_at: that start; None if not known.
        labels: labels by name.
        limits: limits of its bridge.
    """

    id: str
    is_online: bool
    name: str = ""
    version: str = ""
    boot_id: str = ""
    started_at: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    limits: AgentLimits = field(default_factory=AgentLimits)


class Roster:
    """Agents whose retained topics have arrived, 200,000 at most. Without I/O.

    Args:
        prefix: first levels of all topics.
    """

    def __init__(self, prefix: str) -> None:
        self._root = f"{prefix}/"
        self._online: dict[str, bool] = {}
        self._states: dict[str, _State] = {}
        self._sizes_bytes: dict[str, int] = {}
        self._size_bytes = 0

    def filters(self, agent: str = "+") -> tuple[str, ...]:
        """Return the filters to subscribe to, for one agent or for all."""
        return f"{self._root}{agent}/status", f"{self._root}{agent}/state/agent"

    def take(self, message: Incoming) -> None:
        """Take a message of any topic; what is none of an agent's is ignored."""
        if not message.topic.startswith(self._root):
            return
        agent, _, what = message.topic[len(self._root) :].partition("/")
        if not AGENT_ID.fullmatch(agent) or agent == _REPLIES:
            return
        if what == "status":
            self._take_status(agent, message.payload)
        elif what == "state/agent":
            self._take_state(agent, message.payload)

    def _take_status(self, agent: str, payload: bytes) -> None:
        if not payload:
            self._online.pop(agent, None)
        elif agent in self._online or len(self._online) < _AGENTS:
            self._online[agent] = payload == b"online"

    def _take_state(self, agent: str, payload: bytes) -> None:
        self._states.pop(agent, None)
        self._size_bytes -= self._sizes_bytes.pop(agent, 0)
        has_room = len(self._states) < _AGENTS and self._size_bytes + len(payload) <= _ALL_STATES_BYTES
        if not payload or len(payload) > _STATE_BYTES or not has_room:
            return
        try:
            self._states[agent] = _State.model_validate_json(payload)
        except ValidationError:
            return
        self._sizes_bytes[agent] = len(payload)
        self._size_bytes += len(payload)

    def __iter__(self) -> Iterator[FleetAgent]:
        """Yield the agents, sorted by id."""
        for agent in sorted(self._online.keys() | self._states.keys()):
            yield self._described(agent)

    def get(self, agent: str) -> FleetAgent | None:
        """Return one agent; None if nothing of it has arrived."""
        return self._described(agent) if agent in self._online or agent in self._states else None

    def _described(self, agent: str) -> FleetAgent:
        state = self._states.get(agent, _State())
        return FleetAgent(
            agent,
            self._online.get(agent, False),
            state.name,
            state.version,
            state.boot_id,
            state.started_at,
            state.labels,
            state.limits,
        )

"""Interface to the agent's methods and events, as the parts of the bridge use them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

__all__ = ("EVENTS_DROPPED", "AgentCalls", "AgentEvent", "AgentListener", "CallRefused")

#: Topic of the notice that events were lost, in their place.
EVENTS_DROPPED = "system.events_dropped"


class CallRefused(Exception):
    """Error with which the agent answered a call of the bridge.

    Attributes:
        code: number of the error in the wire contract; 0 if the session ended before the answer.
        reason: stable word, such as `camera_not_found`; `session_ended` if there was no answer.
        details: one sentence.
        data: all members of the error's `data` on the wire.
    """

    def __init__(
        self, details: str, *, code: int, reason: str, data: Mapping[str, JsonValue] | None = None
    ) -> None:
        super().__init__(details)
        self.details = details
        self.code = code
        self.reason = reason
        self.data = data or {}


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Event of the agent: its topic, its number since the start `boot_id`, and its params as on the wire.

    The topic `EVENTS_DROPPED` tells of lost events in their place; `sequence` is then the number of the last of them.
    """

    topic: str
    boot_id: str
    sequence: int
    params: Mapping[str, JsonValue]


class AgentCalls(Protocol):
    """Calls of the agent's JSON-RPC methods by the bridge itself."""

    async def call(self, method: str, params: Mapping[str, JsonValue] | None = None) -> JsonValue:
        """Return the method's result as on the wire.

        Raises:
            CallRefused: the agent answered with an error.
        """
        ...


class AgentListener(Protocol):
    """Receiver of the agent's events, in the order of their numbers, each topic and number once."""

    @property
    def topics(self) -> Sequence[str]:
        """Topics that it wants; it gets `EVENTS_DROPPED` as well."""
        ...

    def take(self, event: AgentEvent) -> None:
        """Take an event of any topic that the bridge subscribes to. Never waits; must not raise."""
        ...

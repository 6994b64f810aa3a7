"""Interface to the agent's methods and events, as the parts of the bridge use them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pydantic import JsonValue

__all__ = ("AgentCalls", "AgentEvent")


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Event of the agent: its topic, its number since the start `boot_id`, and its params as on the wire."""

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

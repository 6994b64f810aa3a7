"""Memory of the bridge that outlives a change of its settings.

A module of its own, as the component keeps it, and each bridge that it runs uses it.
"""

from dataclasses import dataclass, field

from mqtt_bridge.agent_place import AgentPlace
from mqtt_bridge.events.outbox import EventOutbox
from mqtt_bridge.state.told import ToldFacts

__all__ = ("BridgeMemory",)


@dataclass(frozen=True, slots=True)
class BridgeMemory:
    """Memory of what has reached the bridge: no event is missed or sent anew because the settings change.

    Attributes:
        place: place in the agent's events.
        outbox: events that wait for the broker.
        told: what only events tell of cameras.
    """

    place: AgentPlace = field(default_factory=AgentPlace)
    outbox: EventOutbox = field(default_factory=lambda: EventOutbox(0, 0))
    told: ToldFacts = field(default_factory=ToldFacts)

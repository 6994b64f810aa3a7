"""Client of a fleet of camera agents behind an MQTT 5 broker, for Python programs; `docs/fleet-client.md` has examples."""

from mqtt_bridge.client.access import BrokerAccess
from mqtt_bridge.client.agents import AgentLimits, FleetAgent
from mqtt_bridge.client.answers import Answer
from mqtt_bridge.client.errors import (
    BrokerLost,
    BrokerRefused,
    BrokerUnreachable,
    CallFailed,
    CallInterrupted,
    ClockRefused,
    FleetError,
    NoAnswer,
    RequestUnusable,
)
from mqtt_bridge.client.fleet import FleetClient
from mqtt_bridge.client.keys import agent_key, key_id, new_fleet_key
from mqtt_bridge.client.selector import Selector
from mqtt_bridge.client.watch import EventWatch, FleetEvent

__all__ = (
    "AgentLimits",
    "Answer",
    "BrokerAccess",
    "BrokerLost",
    "BrokerRefused",
    "BrokerUnreachable",
    "CallFailed",
    "CallInterrupted",
    "ClockRefused",
    "EventWatch",
    "FleetAgent",
    "FleetClient",
    "FleetError",
    "FleetEvent",
    "NoAnswer",
    "RequestUnusable",
    "Selector",
    "agent_key",
    "key_id",
    "new_fleet_key",
)

"""Entities of the agent's device."""

from collections.abc import Sequence

from mqtt_bridge.home_assistant.entities import Entity, Fields
from mqtt_bridge.home_assistant.templates import attributes, if_state, member
from mqtt_bridge.topics import AgentTopics

__all__ = ("agent_entities",)

#: Home Assistant lists such entities apart, and leaves them out of dashboards that it makes itself.
_DIAGNOSTIC: Fields = {"entity_category": "diagnostic"}


def agent_entities(topics: AgentTopics, tiers: Sequence[str]) -> list[Entity]:
    """Return the entities of the agent; `tiers` are the names of the snapshot tiers that the agent's health reports.

    None has `expire_after`: state is published when it changes, so an old value is not a wrong one, and the last will makes
    all entities unavailable when the agent is gone.
    """
    health = {"state_topic": topics.health, **_available(topics)}
    return [
        _connected(topics),
        _status(health),
        _problem(topics, health),
        _version(topics),
        _hours_left(health),
        *(_latency(health, tier) for tier in tiers),
    ]


def _available(topics: AgentTopics) -> Fields:
    return {"availability": [{"topic": topics.status}]}


def _connected(topics: AgentTopics) -> Entity:
    """Return the one entity that stays available without the agent, since it tells that the agent is gone."""
    fields: Fields = {
        "device_class": "connectivity",
        "state_topic": topics.status,
        "payload_on": "online",
        "payload_off": "offline",
        **_DIAGNOSTIC,
    }
    return Entity("binary_sensor", "connected", "Connected", fields)


def _status(health: Fields) -> Entity:
    return Entity("sensor", "status", "Status", {**health, "value_template": member("status"), **_DIAGNOSTIC})


def _problem(topics: AgentTopics, health: Fields) -> Entity:
    fields: Fields = {
        **health,
        "device_class": "problem",
        "value_template": if_state(
            "state.problems | default([]) or state.status | default('') != 'HEALTHY'", "ON", "OFF"
        ),
        "json_attributes_topic": topics.health,
        "json_attributes_template": attributes(
            {"reasons": "state.problems | default([]) | map(attribute='details') | list"}
        ),
        **_DIAGNOSTIC,
    }
    return Entity("binary_sensor", "problem", "Problem", fields)


def _version(topics: AgentTopics) -> Entity:
    fields: Fields = {
        "state_topic": topics.agent_state,
        "value_template": member("version"),
        **_available(topics),
        **_DIAGNOSTIC,
    }
    return Entity("sensor", "version", "Version", fields)


def _hours_left(health: Fields) -> Entity:
    fields: Fields = {
        **health,
        "device_class": "duration",
        "unit_of_measurement": "h",
        "state_class": "measurement",
        "suggested_display_precision": 0,
        "value_template": member("disk_hours_left"),
        **_DIAGNOSTIC,
    }
    return Entity("sensor", "disk_hours_left", "Disk full in", fields)


def _latency(health: Fields, tier: str) -> Entity:
    median = f"(value_json | default({{}})).tiers | default([]) | selectattr('name', 'eq', {tier!r}) | map(attribute='p50_ms') | first"
    fields: Fields = {
        **health,
        "device_class": "duration",
        "unit_of_measurement": "ms",
        "state_class": "measurement",
        "suggested_display_precision": 0,
        "value_template": f"{{{{ {median} | default(none) }}}}",
        **_DIAGNOSTIC,
    }
    return Entity("sensor", "latency", f"Snapshot latency {tier}", fields, subject=tier)

"""Entity of Home Assistant, before it has a device."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

__all__ = ("Entity", "Fields")

Fields = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Entity:
    """Entity of the agent's or of a camera's device.

    Attributes:
        component: kind of entity, such as `sensor`: the integration of Home Assistant that it belongs to.
        key: name for programs, unique with `subject` on the device; lower-case letters and `_`.
        name: name for people, which Home Assistant shows after that of the device; None for the device's main entity.
        fields: what else is described: topics, templates, classes and units.
        subject: distinguishes entities with one key, such as those of several tiers.
    """

    component: str
    key: str
    name: str | None
    fields: Fields
    subject: str = ""

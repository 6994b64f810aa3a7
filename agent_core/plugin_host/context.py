"""`AgentContext` of one plugin. Plugins share its parts except `events`, `streams` and `sessions`, which know the plugin."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path

from pydantic import BaseModel

from agent_core.base.clock import Clock
from agent_core.base.errors import PluginError
from agent_core.base.events import EventBus
from agent_core.base.field_rules import kind_of
from agent_core.base.models import CameraId
from agent_core.plugin.context import CameraDirectory, CameraRedirects, CameraStreams
from agent_core.plugin.sessions import ClientSessions

__all__ = ("PluginContext", "PluginEvents", "checked_payload")

#: Field of all events, which the agent sets.
_SEQUENCE = "sequence"


class PluginEvents:
    """`EventPublisher` of one plugin, limited to the topics that it declares."""

    def __init__(self, bus: EventBus, plugin: str, topics: Sequence[str]) -> None:
        self._bus = bus
        self._plugin = plugin
        self._topics = tuple(topics)

    def publish(self, topic: str, payload: object) -> None:
        """Publish as described at `EventPublisher.publish`. Filters by camera compare the payload's field `device`."""
        if topic not in self._topics:
            declared = ", ".join(self._topics) or "none"
            raise PluginError(
                f"The plugin '{self._plugin}' published the topic {topic!r}, which it does not declare.",
                reason="undeclared_topic",
                suggestion=f"Add it to the plugin's class attribute topics; declared: {declared}.",
            )
        kept = _copied(checked_payload(topic, payload))
        self._bus.publish(topic, kept, camera=_camera(kept))


def checked_payload(topic: str, value: object) -> object:
    """Return `value`, the payload of an event, if it is a dataclass instance, a mapping or a pydantic model.

    Raises:
        PluginError: the value is anything else, or has a field `sequence`. Clients would receive an event without fields,
            or with a field of two meanings.
    """
    is_record = is_dataclass(value) and not isinstance(value, type)
    if not is_record and not isinstance(value, Mapping | BaseModel):
        raise PluginError(
            f"The payload of {topic} is {kind_of(value)}, which has no fields.",
            reason="wrong_payload",
            suggestion="Publish a frozen dataclass, a mapping or a pydantic model.",
        )
    if _SEQUENCE in _field_names(value):
        raise PluginError(
            f"The payload of {topic} has the field {_SEQUENCE}, in which the agent numbers events.",
            reason="wrong_payload",
            suggestion="Give the field another name.",
        )
    return value


def _field_names(payload: object) -> Collection[object]:
    if isinstance(payload, Mapping):
        return payload
    if isinstance(payload, BaseModel):
        model = type(payload)
        aliases = {field.serialization_alias or field.alias for field in model.model_fields.values()}
        return {*model.model_fields, *model.model_computed_fields, *(payload.model_extra or ()), *aliases}
    return getattr(payload, "__dataclass_fields__", ())


def _copied(payload: object) -> object:
    """Return a copy of a payload that the plugin could change before delivery. Dataclasses are frozen already."""
    if isinstance(payload, Mapping):
        return dict(payload)
    return payload.model_copy() if isinstance(payload, BaseModel) else payload


def _camera(payload: object) -> CameraId | None:
    if isinstance(payload, Mapping):
        device = payload.get("device")
    elif isinstance(payload, BaseModel) or "device" in getattr(payload, "__dataclass_fields__", ()):
        device = getattr(payload, "device", None)
    else:
        device = None
    return CameraId(device) if isinstance(device, str) else None


@dataclass(frozen=True, slots=True)
class PluginContext:
    """`AgentContext` of one plugin."""

    clock: Clock
    cameras: CameraDirectory
    redirects: CameraRedirects
    events: PluginEvents
    streams: CameraStreams
    sessions: ClientSessions
    runtime_dir: Path
    state_dir: Path
    recordings_dir: Path
    ffmpeg: str | None
    plugins: tuple[str, ...] = ()

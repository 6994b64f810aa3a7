"""Descriptions of the agent and its cameras, from which Home Assistant makes devices and entities."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mqtt_bridge.home_assistant.agent_entities import agent_entities
from mqtt_bridge.home_assistant.camera_entities import camera_entities
from mqtt_bridge.home_assistant.entities import Entity, Fields
from mqtt_bridge.home_assistant.ids import HubIds
from mqtt_bridge.topics import AgentTopics

__all__ = ("DescribedAgent", "DescribedCamera", "Descriptions")


@dataclass(frozen=True, slots=True)
class DescribedCamera:
    """Camera in a description: its id, its name for people, and if its pictures are published."""

    id: str
    name: str
    pictures: bool


@dataclass(frozen=True, slots=True)
class DescribedAgent:
    """Agent in a description: its name for people, its version, and the names of its snapshot tiers."""

    name: str
    version: str
    tiers: tuple[str, ...]


class Descriptions:
    """Maker of the retained messages, one for each entity.

    Args:
        ids: the agent's ids in Home Assistant.
        topics: the agent's topics.
        control: describe a switch and a button for each camera.
    """

    def __init__(self, ids: HubIds, topics: AgentTopics, *, control: bool) -> None:
        self._ids = ids
        self._topics = topics
        self._control = control

    def all(self, agent: DescribedAgent, cameras: Sequence[DescribedCamera]) -> Mapping[str, bytes]:
        """Return the payloads by topic, the agent's first: the devices of the cameras refer to its device."""
        return dict(self._messages(agent, cameras))

    def _messages(
        self, agent: DescribedAgent, cameras: Sequence[DescribedCamera]
    ) -> Iterator[tuple[str, bytes]]:
        origin: Fields = {"name": "camera-agent", "sw_version": agent.version}
        own = self._agent_device(agent)
        for entity in agent_entities(self._topics, agent.tiers):
            yield self._message(entity, own, origin)
        for camera in cameras:
            device = self._camera_device(agent, camera)
            for entity in camera_entities(
                self._topics, camera.id, pictures=camera.pictures, control=self._control
            ):
                yield self._message(entity, device, origin, camera.id)

    def _agent_device(self, agent: DescribedAgent) -> Fields:
        return {
            "identifiers": [self._ids.device()],
            "name": agent.name,
            "model": "camera-agent",
            "sw_version": agent.version,
        }

    def _camera_device(self, agent: DescribedAgent, camera: DescribedCamera) -> Fields:
        """Describe a camera's device. The ids in its name tell cameras of one model apart, and those of several agents."""
        return {
            "identifiers": [self._ids.device(camera.id)],
            "name": f"{camera.name} ({agent.name} {camera.id})",
            "model": camera.name,
            "via_device": self._ids.device(),
        }

    def _message(self, entity: Entity, device: Fields, origin: Fields, camera: str = "") -> tuple[str, bytes]:
        subject = camera or entity.subject
        payload: Fields = {
            "unique_id": self._ids.entity(self._ids.device(camera), entity.key, entity.subject),
            "name": entity.name,
            **entity.fields,
            "device": dict(device),
            "origin": dict(origin),
        }
        topic = self._ids.description(entity.component, entity.key, subject)
        return topic, json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()

"""Agent and cameras that the tests describe, and their state as the bridge publishes it."""

import json
from collections.abc import Mapping
from typing import Any

from mqtt_bridge.home_assistant.descriptions import DescribedAgent, DescribedCamera, Descriptions
from mqtt_bridge.home_assistant.ids import HubIds
from mqtt_bridge.topics import AgentTopics

__all__ = ("AGENT", "CAMERAS", "IDS", "TOPICS", "described", "entity")

IDS = HubIds("homeassistant", "barn_1")
TOPICS = AgentTopics("camera-agent", "barn_1")
AGENT = DescribedAgent("Barn", "1.2.3", ("ring", "ffmpeg"))
CAMERAS = (DescribedCamera("camera0", "HD Webcam", True), DescribedCamera("camera12", "HD Webcam", False))


def described(*, control: bool = True, agent: DescribedAgent = AGENT) -> Mapping[str, dict[str, Any]]:
    """Return the payloads by topic."""
    found = Descriptions(IDS, TOPICS, control=control).all(agent, CAMERAS)
    return {topic: json.loads(payload) for topic, payload in found.items()}


def entity(component: str, key: str, subject: str = "") -> dict[str, Any]:
    return described()[IDS.description(component, key, subject)]

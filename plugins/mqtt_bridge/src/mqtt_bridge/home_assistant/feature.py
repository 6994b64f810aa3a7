"""Home Assistant as the settings ask for it: parts for the connection, tasks beside it, and an observer of the agent's state."""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import anyio
from pydantic import JsonValue

from agent_core.plugin import NOT_ASKED, AgentContext, Started
from mqtt_bridge.agent_link import AgentLink
from mqtt_bridge.broker.part import BrokerPart
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.home_assistant.control import HubControl
from mqtt_bridge.home_assistant.descriptions import DescribedAgent, DescribedCamera, Descriptions
from mqtt_bridge.home_assistant.hub import HomeAssistantHub
from mqtt_bridge.home_assistant.ids import HubIds
from mqtt_bridge.home_assistant.prefixes import DescribedPrefixes
from mqtt_bridge.settings import MqttBridgeSettings, PictureSettings
from mqtt_bridge.state.view import AgentView
from mqtt_bridge.topics import AgentTopics

__all__ = ("HomeAssistant",)


class HomeAssistant:
    """Descriptions and, if allowed, commands. While discovery is off, former descriptions are cleared and nothing else happens.

    Args:
        agent: what the core lends.
        settings: the plugin's settings.
        topics: the agent's topics.
        name: the agent's name for people.
        retained: topics that the broker is to keep.
    """

    def __init__(
        self,
        agent: AgentContext,
        settings: MqttBridgeSettings,
        topics: AgentTopics,
        name: str,
        retained: RetainedTopics,
    ) -> None:
        wanted, self._pictures, self._name = settings.home_assistant, settings.pictures, name
        current = wanted.prefix if wanted.enabled else None
        self._prefixes = DescribedPrefixes(
            agent.state_dir,
            current,
            lambda prefix: retained.own(HubIds(prefix, topics.agent).all_descriptions),
            clock=agent.clock,
        )
        self._hub: HomeAssistantHub | None = None
        self._commands: _Commands | None = None
        self._control: HubControl | None = None
        if current is not None:
            descriptions = Descriptions(HubIds(current, topics.agent), topics, control=wanted.control)
            self._hub = HomeAssistantHub(
                current, descriptions, retained, clock=agent.clock, random=random.random
            )
            if wanted.control:
                self._commands = _Commands(AgentLink(agent.sessions, "operator", agent.clock))
                self._control = HubControl(topics, self._commands, agent.clock)

    @property
    def online(self) -> tuple[BrokerPart, ...]:
        """Parts that use the connection."""
        return tuple(each for each in (self._prefixes, self._hub, self._control) if each is not None)

    async def run(self, *, task_status: Started = NOT_ASKED) -> None:
        """Run what works beside the connection, until cancelled."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._prefixes.run)
            if self._commands is not None and self._control is not None:
                tasks.start_soon(self._commands.link.run)
                await tasks.start(self._control.run)
            task_status.started()

    def see(self, view: AgentView) -> None:
        """Describe the agent as it is now."""
        if self._hub is None:
            return
        cameras = [
            DescribedCamera(each, str(form["name"]), _are_published(self._pictures, each))
            for each, form in view.camera_forms.items()
        ]
        tiers = tuple(each.name for each in view.metrics.snapshot_metrics.tiers)
        self._hub.show(DescribedAgent(self._name, view.server.version, tiers), cameras)
        if self._commands is not None:
            self._commands.cameras = frozenset(view.camera_ids)


def _are_published(pictures: PictureSettings, camera: str) -> bool:
    return pictures.interval_s > 0 and (not pictures.cameras or camera in pictures.cameras)


@dataclass(slots=True)
class _Commands:
    """Calls as an operator; `cameras` are those of the agent as it was last seen."""

    link: AgentLink
    cameras: Collection[str] = frozenset()

    async def call(self, method: str, params: Mapping[str, JsonValue] | None = None) -> JsonValue:
        return await self.link.call(method, params)

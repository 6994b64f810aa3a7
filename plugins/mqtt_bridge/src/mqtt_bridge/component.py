"""Component that runs the bridge: its parts, and the connection that they use."""

from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskStatus

from agent_core.plugin import NOT_ASKED, AgentContext, Component, DependencyFailed, WorkerPool
from mqtt_bridge.broker.connection import BrokerConnection
from mqtt_bridge.broker.presence import Presence
from mqtt_bridge.broker.retained import RetainedTopics
from mqtt_bridge.broker.status import BrokerStatus
from mqtt_bridge.identity import kept_agent_id
from mqtt_bridge.memory import BridgeMemory
from mqtt_bridge.parts import Bridge, PartsBuilder, bridge_parts
from mqtt_bridge.settings import MqttBridgeSettings
from mqtt_bridge.topics import AgentTopics

if TYPE_CHECKING:
    from mqtt_bridge.pictures.part import PicturesPart

__all__ = ("MqttBridge",)


class MqttBridge(Component):
    """The bridge. A broker that is away is a state of it, not a failure: it runs, and `status` tells.

    Args:
        agent: what the core lends.
        settings: the plugin's settings.
        parts: builder of the parts.

    Attributes:
        status: state of the connection.
        pictures: part that publishes pictures on demand; None if the settings exclude them.
    """

    def __init__(
        self, agent: AgentContext, settings: MqttBridgeSettings, *, parts: PartsBuilder = bridge_parts
    ) -> None:
        self._agent = agent
        self._settings = settings
        self._parts = parts
        self._files = WorkerPool(1)
        self._reconfigured = anyio.Event()
        self._memory = BridgeMemory()
        self.status = BrokerStatus()
        self.pictures: PicturesPart | None = None

    @property
    def name(self) -> str:
        return "mqtt_bridge"

    @property
    def problem(self) -> DependencyFailed | None:
        """Reason why there is no connection; None while there is one."""
        found = self.status.problem
        if found is None:
            return None
        return DependencyFailed(
            found.details, reason=found.reason, suggestion=found.suggestion, dependency="mqtt_broker"
        )

    def configure(self, settings: MqttBridgeSettings) -> None:
        """Begin anew with other settings, soon; the broker hears a farewell first."""
        if settings != self._settings:
            self._settings = settings
            self._reconfigured.set()

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Run the bridge until cancelled, with and without a broker.

        Raises:
            AgentError: the agent's id for MQTT cannot be read or kept.
        """
        agent_id = self._settings.agent_id
        if agent_id is None:
            agent_id = await self._files.run(partial(kept_agent_id, self._agent.state_dir))
        task_status.started()
        while True:
            self._reconfigured = anyio.Event()
            await self._live(AgentTopics(self._settings.prefix, agent_id))

    async def _live(self, topics: AgentTopics) -> None:
        """Run one bridge until it is to have other settings."""
        settings, clock = self._settings, self._agent.clock
        self.status = BrokerStatus()
        presence = Presence(topics.status)
        retained = RetainedTopics(clock, birth=presence.birth, min_interval_s=settings.state.min_interval_s)
        parts = self._parts(Bridge(self._agent, settings, topics, retained, self.status, self._memory))
        self.pictures = parts.pictures
        connection = BrokerConnection(
            settings, topics, parts.online, presence=presence, clock=clock, status=self.status
        )
        async with anyio.create_task_group() as tasks:
            for each in parts.tasks:
                await tasks.start(each)
            tasks.start_soon(connection.run)
            await self._reconfigured.wait()
            tasks.cancel_scope.cancel()

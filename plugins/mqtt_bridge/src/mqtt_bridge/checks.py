"""Check of `camera-agent doctor` for the broker; apart from the plugin, because only `doctor` imports it."""

from collections.abc import Sequence
from typing import Final

import anyio

from agent_core.plugin import Check, DependencyFailed, Finding, FindingStatus
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.client import BrokerClient, BrokerLimits, ConnectionRefused
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.opening import BrokerOpening
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.broker.reasons import refused_topic
from mqtt_bridge.broker.sender import PacketSender
from mqtt_bridge.settings import MqttBridgeSettings
from mqtt_bridge.topics import AgentTopics

__all__ = ("BrokerCheck",)

#: Limit of the whole check, shorter than doctor's own.
_ANSWER_S: Final = 8.0
#: Time for the broker to send a message back.
_BACK_S: Final = 2.0
#: Problems that time may solve: the agent goes on without a broker.
_PASSING: Final = frozenset(
    {"mqtt_unreachable", "mqtt_timeout", "mqtt_unresolved", "mqtt_closed", "mqtt_silent"}
)
_ACCESS: Final = "Let the agent's user read and write the topics below {root}/ in the broker's access list."


class BrokerCheck(Check):
    """Check that connects to the broker as the agent does, with its user but another client identifier.

    So a running agent keeps its connection. It sends one message that no program expects, and changes nothing.

    Args:
        settings: the plugin's settings.
        answer_s: time for the broker to answer everything.
    """

    name = "MQTT broker"

    def __init__(self, settings: MqttBridgeSettings, *, answer_s: float = _ANSWER_S) -> None:
        self._settings = settings
        self._answer_s = answer_s
        self._came_back = anyio.Event()

    async def look(self) -> Sequence[Finding]:
        address = self._settings.address
        if address is None:
            return [self._finding(FindingStatus.OK, "No MQTT broker is configured, so the bridge is off.")]
        try:
            with anyio.move_on_after(self._answer_s):
                return await self._connect(address)
        except ConnectionRefused as refusal:
            problem = refusal.problem
            status = FindingStatus.WARNING if problem.reason in _PASSING else FindingStatus.FAILED
            return [self._finding(status, problem.details, problem.suggestion)]
        except DependencyFailed as error:
            return [self._finding(FindingStatus.FAILED, error.details, error.suggestion or "")]
        except BrokerLost:
            lost = f"The MQTT broker {address} has ended the connection at a message of the agent."
            return [self._finding(FindingStatus.FAILED, lost, "See the broker's log.")]
        late = f"The MQTT broker {address} has not answered within {self._answer_s:g} s."
        return [
            self._finding(FindingStatus.WARNING, late, "Check the network, and url in [plugins.mqtt_bridge].")
        ]

    async def _connect(self, address: BrokerAddress) -> Sequence[Finding]:
        settings = self._settings
        opening = BrokerOpening(settings, lambda _: self._came_back.set())
        client = await opening.dial(address, f"{settings.agent_id or 'camera-agent'}-doctor", None)
        try:
            limits = await opening.introduce(client, address)
            who = f" as {settings.user}" if settings.user else ""
            accepted = self._finding(FindingStatus.OK, f"{address} accepts the agent{who}.")
            found = [accepted, *self._limits(limits), await self._topics(client, limits)]
            await client.leave()
            return found
        finally:
            client.close()

    def _limits(self, limits: BrokerLimits) -> Sequence[Finding]:
        if limits.retain:
            return ()
        detail = "The broker keeps no retained messages, so clients that come later see no state."
        return [self._finding(FindingStatus.WARNING, detail, "Allow retained messages in the broker.")]

    async def _topics(self, client: BrokerClient, limits: BrokerLimits) -> Finding:
        """Try if the agent may use its topics; that needs its id, which else only the agent knows."""
        if self._settings.agent_id is None:
            return self._finding(
                FindingStatus.OK,
                "agent_id is not set, so whether the agent may use its topics was not tried.",
            )
        topics = AgentTopics(self._settings.prefix, self._settings.agent_id)
        message = Outgoing(f"{topics.root}/doctor", b"")
        codes = await client.subscribe_all({topics.calls: False, message.topic: True})
        read = codes.get(topics.calls, 0x80)
        written = await PacketSender(client, limits).send(message)
        for what, topic, code in (("read", topics.calls, read), ("write", message.topic, written)):
            if code >= 0x80:
                detail = f"The agent may not {what} the topic {topic}: the broker {refused_topic(code)}."
                return self._finding(FindingStatus.FAILED, detail, _ACCESS.format(root=topics.root))
        with anyio.move_on_after(_BACK_S):  # Mosquitto accepts subscriptions to what it then does not send
            if codes.get(message.topic, 0x80) < 0x80:
                await self._came_back.wait()
            return self._finding(FindingStatus.OK, f"The agent may read and write below {topics.root}.")
        detail = f"The broker does not send what is published below {topics.root}, so no calls may arrive."
        return self._finding(FindingStatus.WARNING, detail, _ACCESS.format(root=topics.root))

    def _finding(self, status: FindingStatus, detail: str, suggestion: str = "") -> Finding:
        return Finding(self.name, status, detail, suggestion)

"""Publisher of one connection, as the parts of the bridge use it."""

import logging

from mqtt_bridge.broker.client import BrokerClient, BrokerLimits
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.part import BrokerPublisher
from mqtt_bridge.broker.reasons import refused_topic
from mqtt_bridge.broker.sender import PacketSender, PacketTooLarge
from mqtt_bridge.broker.status import BrokerStatus

__all__ = ("DroppedTopics", "LivePublisher")

_TOPICS_TOLD = 1000

_log = logging.getLogger("camera_agent.mqtt_bridge")


class DroppedTopics:
    """Topics whose messages were dropped, each told once over all connections."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def tell(self, topic: str, why: str) -> None:
        if topic in self._told or len(self._told) >= _TOPICS_TOLD:
            return
        self._told.add(topic)
        _log.warning("The MQTT broker does not get messages of the topic %s: it %s.", topic, why)


class LivePublisher(BrokerPublisher):
    """Publisher over one client; `close` it when the connection has ended."""

    def __init__(
        self, client: BrokerClient, limits: BrokerLimits, *, status: BrokerStatus, dropped: DroppedTopics
    ) -> None:
        self._sender = PacketSender(client, limits)
        self._status = status
        self._dropped = dropped

    @property
    def packet_bytes(self) -> int:
        return self._sender.limits.packet_bytes

    async def publish(self, message: Outgoing) -> None:
        """Publish as `BrokerPublisher.publish`."""
        try:
            code = await self._sender.send(message)
        except PacketTooLarge as fault:
            self._drop(message.topic, f"accepts {fault.limit_bytes} bytes, and this has {fault.size_bytes}")
            return
        if code >= 0x80:
            self._drop(message.topic, refused_topic(code))
        else:
            self._status.published += 1

    def close(self) -> None:
        """End all waits with BrokerLost."""
        self._sender.close()

    def _drop(self, topic: str, why: str) -> None:
        self._status.dropped += 1
        self._dropped.tell(topic, why)

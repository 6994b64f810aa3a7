"""Publisher of one connection, within the limits of the broker."""

import asyncio
import logging

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mqtt_bridge.broker.client import BrokerClient, BrokerLimits
from mqtt_bridge.broker.flow import FlowLimit
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.part import BrokerLost, BrokerPublisher
from mqtt_bridge.broker.reasons import refused_topic
from mqtt_bridge.broker.status import BrokerStatus

__all__ = ("DroppedTopics", "LivePublisher", "packet_properties")

_ON_THEIR_WAY_BYTES = 1 << 21
#: Fixed header, length of the topic and identifier, at their longest.
_HEAD_BYTES = 9
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
        self._client = client
        self._limits = limits
        self._flow = FlowLimit(limits.on_their_way, _ON_THEIR_WAY_BYTES)
        self._status = status
        self._dropped = dropped

    @property
    def packet_bytes(self) -> int:
        return self._limits.packet_bytes

    async def publish(self, message: Outgoing) -> None:
        """Publish as `BrokerPublisher.publish`."""
        properties = packet_properties(message)
        extra: bytes = properties.pack()  # type: ignore[no-untyped-call]
        size_bytes = _HEAD_BYTES + len(message.topic.encode()) + len(extra) + len(message.payload)
        if size_bytes > self._limits.packet_bytes:
            self._drop(message.topic, f"accepts {self._limits.packet_bytes} bytes, and this has {size_bytes}")
            return
        await self._flow.take(size_bytes)
        try:
            future = self._client.begin(self._within_limits(message), properties)
        except BaseException:
            self._flow.release(size_bytes)
            raise
        # A caller that is cancelled gives no place back: the message is on its way all the same.
        future.add_done_callback(lambda _: self._flow.release(size_bytes))
        code = await asyncio.shield(future)
        if code is None:
            raise BrokerLost
        if code >= 0x80:
            self._drop(message.topic, refused_topic(code))
        else:
            self._status.published += 1

    def close(self) -> None:
        """End all waits with BrokerLost."""
        self._flow.close()

    def _drop(self, topic: str, why: str) -> None:
        self._status.dropped += 1
        self._dropped.tell(topic, why)

    def _within_limits(self, message: Outgoing) -> Outgoing:
        qos, retain = min(message.qos, self._limits.qos), message.retain and self._limits.retain
        if (qos, retain) == (message.qos, message.retain):
            return message
        return Outgoing(message.topic, message.payload, qos=qos, retain=retain)


def packet_properties(message: Outgoing) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    if message.content_type:
        properties.ContentType = message.content_type
    if message.properties:
        properties.UserProperty = [*message.properties.items()]
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    if message.response_topic:
        properties.ResponseTopic = message.response_topic
    return properties

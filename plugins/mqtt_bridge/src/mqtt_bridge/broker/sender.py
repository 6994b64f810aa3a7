"""Sender over one connection, within the limits of the broker. The bridge and the fleet client publish with it."""

import asyncio
from dataclasses import replace

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mqtt_bridge.broker.client import BrokerClient, BrokerLimits
from mqtt_bridge.broker.flow import FlowLimit
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.part import BrokerLost

__all__ = ("PacketSender", "PacketTooLarge", "packet_properties")

_ON_THEIR_WAY_BYTES = 1 << 21
#: Fixed header, length of the topic and identifier, at their longest.
_HEAD_BYTES = 9


class PacketTooLarge(Exception):  # a limit of the broker, no fault
    """Message of `size_bytes`, which is more than the `limit_bytes` of the broker."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"{size_bytes} bytes, and the broker accepts {limit_bytes}")
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes


class PacketSender:
    """Sender of messages; `close` it when the connection has ended.

    Args:
        client: client of the connection.
        limits: limits of the broker.
    """

    def __init__(self, client: BrokerClient, limits: BrokerLimits) -> None:
        self._client = client
        self.limits = limits
        self._flow = FlowLimit(limits.on_their_way, _ON_THEIR_WAY_BYTES)

    async def send(self, message: Outgoing) -> int:
        """Send a message, with less quality of service or not retained if the broker allows no more.

        Returns:
            The broker's reason code; 0 without an acknowledgement, when the socket has taken the message.

        Raises:
            BrokerLost: the connection ended; for QoS 1 it is then unknown if the broker has the message.
            PacketTooLarge: the broker does not accept messages of that size.
        """
        properties = packet_properties(message)
        extra: bytes = properties.pack()  # type: ignore[no-untyped-call]
        size_bytes = _HEAD_BYTES + len(message.topic.encode()) + len(extra) + len(message.payload)
        if size_bytes > self.limits.packet_bytes:
            raise PacketTooLarge(size_bytes, self.limits.packet_bytes)
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
        return code

    def close(self) -> None:
        """End all waits with BrokerLost."""
        self._flow.close()

    def _within_limits(self, message: Outgoing) -> Outgoing:
        return replace(
            message,
            qos=min(message.qos, self.limits.qos),
            retain=message.retain and self.limits.retain,
        )


def packet_properties(message: Outgoing) -> Properties:
    """Return what a PUBLISH packet says of `message` besides its topic and payload."""
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

"""Interface between the connection and the parts of the bridge that use it."""

from collections.abc import Sequence
from typing import Protocol

from mqtt_bridge.broker.messages import Incoming, Outgoing, Subscription

__all__ = ("BrokerLost", "BrokerPart", "BrokerPublisher")


class BrokerLost(Exception):
    """Connection to the broker that has ended."""


class BrokerPublisher(Protocol):
    """Live connection, as the parts of the bridge see it."""

    @property
    def packet_bytes(self) -> int:
        """Largest packet that the broker accepts."""
        ...

    async def publish(self, message: Outgoing) -> None:
        """Publish, and return when the broker has it (QoS 1) or the socket took it (QoS 0).

        Waits while too much is on its way, so a slow broker slows its callers. A message that is larger than the broker
        accepts, or that the broker refuses, is dropped, told in the log once for each topic, and counted.

        Raises:
            BrokerLost: the connection ended; for QoS 1 it is then unknown if the broker has the message.
        """
        ...


class BrokerPart(Protocol):
    """Part of the bridge: lives as long as the bridge, and works while there is a connection."""

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """Subscriptions to make at each connection, before `online`."""
        ...

    async def online(self, broker: BrokerPublisher) -> None:
        """Use a connection until cancelled, which happens when it ends; may raise BrokerLost."""
        ...

    def received(self, message: Incoming) -> None:
        """Take a message of any topic that matches `subscriptions` of this part. Never waits; must not raise."""
        ...

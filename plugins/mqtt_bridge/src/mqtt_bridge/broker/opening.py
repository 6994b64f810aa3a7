"""Opening of connections to the broker that the settings name. The bridge, the fleet client and `doctor` use it."""

from collections.abc import Callable

import anyio

from agent_core.plugin import WorkerPool
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.broker.client import BrokerClient, BrokerLimits, ClientOptions, ConnectionRefused
from mqtt_bridge.broker.credentials import read_credentials
from mqtt_bridge.broker.dialler import Dialler
from mqtt_bridge.broker.messages import Incoming, Outgoing
from mqtt_bridge.broker.reasons import BrokerProblem
from mqtt_bridge.settings import MqttBridgeSettings

__all__ = ("BrokerOpening",)


class BrokerOpening:
    """Opening of one connection after the other, each within `connect_timeout_s` of the settings.

    Args:
        settings: settings with an address.
        deliver: takes each message of the broker. Must not raise.
    """

    def __init__(self, settings: MqttBridgeSettings, deliver: Callable[[Incoming], None]) -> None:
        self._settings = settings
        self._deliver = deliver
        self._files = WorkerPool(1)
        self._dialler = Dialler()

    async def dial(self, address: BrokerAddress, client_id: str, will: Outgoing | None) -> BrokerClient:
        """Return a client that has a socket to the broker, and has said nothing; the caller closes it.

        Raises:
            DependencyFailed: a file with credentials cannot be used.
            ConnectionRefused: no connection is possible now.
        """
        settings = self._settings
        credentials = await self._files.run_abandonable(read_credentials, settings)
        raw = None
        with anyio.move_on_after(settings.connect_timeout_s):
            raw = await self._dialler.open(address, credentials.tls, settings.tls.server_name)
        if raw is None:
            raise ConnectionRefused(_unanswered(address, "does not answer"))
        options = ClientOptions(
            client_id,
            settings.keep_alive_s,
            settings.max_packet_bytes,
            will,
            settings.user,
            credentials.password,
        )
        return BrokerClient(raw, options, self._deliver)

    async def introduce(self, client: BrokerClient, address: BrokerAddress) -> BrokerLimits:
        """Introduce the client, and return the broker's limits. Raises ConnectionRefused."""
        with anyio.move_on_after(self._settings.connect_timeout_s):
            return await client.open()
        raise ConnectionRefused(
            _unanswered(address, "accepts the connection, and does not answer the CONNECT packet")
        )


def _unanswered(address: BrokerAddress, what: str) -> BrokerProblem:
    return BrokerProblem(
        "mqtt_timeout",
        f"The MQTT broker {address} {what} in time.",
        "Check the network, and that url in [plugins.mqtt_bridge] is the address of an MQTT broker.",
    )

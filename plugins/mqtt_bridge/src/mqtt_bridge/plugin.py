"""Plugin class with its hooks."""

from typing import TYPE_CHECKING, Any

from agent_core.plugin import AgentContext, Check, Component, Plugin, RpcMethod, hookimpl
from mqtt_bridge.settings import MqttBridgeSettings

if TYPE_CHECKING:
    from mqtt_bridge.component import MqttBridge

__all__ = ("MqttBridgePlugin",)


class MqttBridgePlugin(Plugin[MqttBridgeSettings]):
    """Plugin with the component of the bridge. The libraries for MQTT are loaded only if there is a broker."""

    Settings = MqttBridgeSettings
    hookspec_api = ">=1.4,<2"

    def __init__(self, settings: MqttBridgeSettings) -> None:
        super().__init__(settings)
        self._bridge: MqttBridge | None = None

    @hookimpl
    def agent_components(self, agent: AgentContext) -> list[Component]:
        bridge = self._made(agent)
        return [] if bridge is None else [bridge]

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> list[RpcMethod[Any]]:
        bridge = self._made(agent)
        if bridge is None:
            return []
        from mqtt_bridge.pictures.method import PublishPicture

        return [PublishPicture(lambda: bridge.pictures)]

    def _made(self, agent: AgentContext) -> "MqttBridge | None":
        """Return the bridge, made by the first hook that needs it; None if it is off."""
        if self._bridge is None and self.settings.url is not None:
            from mqtt_bridge.component import MqttBridge

            self._bridge = MqttBridge(agent, self.settings)
        return self._bridge

    @hookimpl
    def agent_checks(self) -> list[Check]:
        if self.settings.url is None:
            return []
        from mqtt_bridge.checks import BrokerCheck  # only `doctor` needs it

        return [BrokerCheck(self.settings)]

    @hookimpl
    def agent_reload(self, settings: MqttBridgeSettings) -> list[str]:
        """Let the bridge begin anew. One that was off, or is to be off, is so until the next start."""
        if (settings.url is None) != (self._bridge is None):
            return ["url"]
        if self._bridge is not None:
            self._bridge.configure(settings)
        return []

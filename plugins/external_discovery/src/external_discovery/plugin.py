"""Plugin class with its hooks."""

from typing import TYPE_CHECKING, Any, ClassVar

from agent_core.plugin import AgentContext, Component, Plugin, RpcMethod, hookimpl
from external_discovery.discovery import (
    PROGRESS,
    DiscoverExternalStreams,
    DiscoveryComponent,
    SetDiscoveryInterval,
    shown,
)
from external_discovery.settings import ExternalDiscoverySettings

if TYPE_CHECKING:
    from external_discovery.policy import AddressPolicy

__all__ = ("ExternalDiscoveryPlugin",)


class ExternalDiscoveryPlugin(Plugin[ExternalDiscoverySettings]):
    """Plugin with a source of network cameras and the methods of the contract for external streams."""

    Settings = ExternalDiscoverySettings
    hookspec_api = ">=1.1,<2"
    topics: ClassVar[tuple[str, ...]] = (PROGRESS,)

    def __init__(self, settings: ExternalDiscoverySettings) -> None:
        super().__init__(settings)
        self._discovery: DiscoveryComponent | None = None

    @hookimpl
    def agent_components(self, agent: AgentContext) -> list[Component]:
        return [self._searches(agent)]

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> list[RpcMethod[Any]]:
        discovery = self._searches(agent)
        return [
            DiscoverExternalStreams(discovery, agent.clock, shown),
            SetDiscoveryInterval(discovery, agent.clock),
        ]

    def _searches(self, agent: AgentContext) -> DiscoveryComponent:
        """Return the component of scans, the same one for each hook."""
        if self._discovery is None:
            self._discovery = DiscoveryComponent(agent, self.settings.discovery, self._policy)
        return self._discovery

    def _policy(self) -> "AddressPolicy":
        # RTSP, which the policy's addresses use, is loaded after the agent listens.
        from external_discovery.policy import AddressPolicy

        return AddressPolicy(self.settings.allowed_networks, self.settings.forbidden_networks)

"""Plugin class with its hooks."""

from typing import Any

import anyio

from agent_core.plugin import AgentContext, CameraSource, Plugin, RpcMethod, hookimpl
from external_discovery.camera import Prober
from external_discovery.configured import configured_streams
from external_discovery.methods import AddExternalStream, GetExternalStreams, RemoveExternalStream
from external_discovery.policy import AddressPolicy, resolve
from external_discovery.settings import ExternalDiscoverySettings
from external_discovery.source import ExternalSource
from external_discovery.streams import StreamFiles

__all__ = ("ExternalDiscoveryPlugin",)

#: Probes that run at the same time.
_PROBES_AT_ONCE = 16


class ExternalDiscoveryPlugin(Plugin[ExternalDiscoverySettings]):
    """Plugin with a source of network cameras and the methods of the contract for external streams."""

    Settings = ExternalDiscoverySettings
    hookspec_api = ">=1.2,<2"

    def __init__(self, settings: ExternalDiscoverySettings) -> None:
        super().__init__(settings)
        self._made: ExternalSource | None = None

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        return [self._source(agent)]

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> list[RpcMethod[Any]]:
        source = self._source(agent)
        return [
            AddExternalStream(source, agent.clock),
            RemoveExternalStream(source, agent.clock),
            GetExternalStreams(source, list, agent.clock),
        ]

    def _source(self, agent: AgentContext) -> ExternalSource:
        """Return the source, the same one for each hook."""
        if self._made is None:
            settings = self.settings
            prober = Prober(
                AddressPolicy(settings.allowed_networks, settings.forbidden_networks),
                resolve,
                settings.probe_timeout_s,
                anyio.CapacityLimiter(_PROBES_AT_ONCE),
            )
            self._made = ExternalSource(
                agent,
                prober,
                StreamFiles(agent.state_dir),
                lambda: configured_streams(settings.streams, agent.clock.now()),
                most=settings.max_streams,
            )
        return self._made

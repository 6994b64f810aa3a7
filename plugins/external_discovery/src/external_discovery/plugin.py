"""Plugin class with its hooks."""

from typing import TYPE_CHECKING, Any, ClassVar

import anyio

from agent_core.plugin import AgentContext, CameraId, CameraSource, Component, Plugin, RpcMethod, hookimpl
from external_discovery.camera import Prober
from external_discovery.configured import configured_streams
from external_discovery.discovery import (
    PROGRESS,
    DiscoverExternalStreams,
    DiscoveryComponent,
    SetDiscoveryInterval,
    shown,
)
from external_discovery.methods import (
    AddExternalStream,
    GetExternalStreams,
    RemoveExternalStream,
    added_form,
)
from external_discovery.policy import AddressPolicy, SystemResolver
from external_discovery.settings import ConfiguredStream, ExternalDiscoverySettings
from external_discovery.source import ExternalSource
from external_discovery.streams import StreamFiles

if TYPE_CHECKING:
    from collections.abc import Iterable

    from external_discovery.address import StreamAddress
    from external_discovery.discovery.results import FoundStream
    from external_discovery.wire import ExternalStream

__all__ = ("ExternalDiscoveryPlugin",)

#: Probes that run at the same time.
_PROBES_AT_ONCE = 16


class ExternalDiscoveryPlugin(Plugin[ExternalDiscoverySettings]):
    """Plugin with a source of network cameras and the methods of the contract for external streams."""

    Settings = ExternalDiscoverySettings
    hookspec_api = ">=1.3,<2"
    topics: ClassVar[tuple[str, ...]] = (PROGRESS,)

    def __init__(self, settings: ExternalDiscoverySettings) -> None:
        super().__init__(settings)
        self._prober: Prober | None = None
        self._made: ExternalSource | None = None
        self._discovery: DiscoveryComponent | None = None

    @hookimpl
    def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
        return [self._source(agent)]

    @hookimpl
    def agent_components(self, agent: AgentContext) -> list[Component]:
        return [self._searches(agent)]

    @hookimpl
    def agent_rpc_methods(self, agent: AgentContext) -> list[RpcMethod[Any]]:
        source, discovery = self._source(agent), self._searches(agent)

        def forms(found: "Iterable[FoundStream]") -> "list[ExternalStream]":
            """Return found streams as clients see them: each with its camera if it was added."""
            added = {each.stream.url: each for each in source.cameras()}
            pairs = ((each, added.get(each.url)) for each in found)
            return [shown(each) if camera is None else added_form(camera) for each, camera in pairs]

        def address_of(url: str) -> "StreamAddress | None":
            """Return the true address of a found stream by its public one."""
            return next((each.address for each in discovery.streams() if each.url == url), None)

        return [
            AddExternalStream(source, agent.clock, address_of),
            RemoveExternalStream(source, agent.clock),
            GetExternalStreams(source, lambda: [*map(shown, discovery.streams())], agent.clock),
            DiscoverExternalStreams(discovery, agent.clock, forms),
            SetDiscoveryInterval(discovery, agent.clock),
        ]

    @hookimpl
    def agent_reload(self, settings: ExternalDiscoverySettings) -> list[str]:
        """Take over all settings; a camera that exists under another id than the new one gets it at the next start."""
        former, self.settings = self.settings, settings
        is_judged_anew = _networks(former) != _networks(settings)
        if self._discovery is not None and (is_judged_anew or former.discovery != settings.discovery):
            self._discovery.configure(settings.discovery)
        if self._made is None or self._prober is None:
            return []
        self._prober.policy, self._prober.timeout_s = self._policy(), settings.probe_timeout_s
        if is_judged_anew:
            for camera in self._made.cameras():
                camera.judge_anew()
        self._made.reconfigure(most=settings.max_streams)
        devices = {each.stream.url: each.device for each in self._made.cameras()}
        wrong = [each for each in settings.streams if _has_other_id(each, devices.get(each.address.url))]
        return ["streams"] if wrong else []

    def _source(self, agent: AgentContext) -> ExternalSource:
        """Return the source, the same one for each hook."""
        if self._made is None:
            self._prober = Prober(
                self._policy(),
                SystemResolver(),
                self.settings.probe_timeout_s,
                anyio.CapacityLimiter(_PROBES_AT_ONCE),
            )
            self._made = ExternalSource(
                agent,
                self._prober,
                StreamFiles(agent.state_dir),
                lambda: configured_streams(self.settings.streams, agent.clock.now()),
                most=self.settings.max_streams,
            )
        return self._made

    def _searches(self, agent: AgentContext) -> DiscoveryComponent:
        """Return the component of scans, the same one for each hook."""
        if self._discovery is None:
            self._discovery = DiscoveryComponent(agent, self.settings.discovery, self._policy)
        return self._discovery

    def _policy(self) -> AddressPolicy:
        return AddressPolicy(self.settings.allowed_networks, self.settings.forbidden_networks)


def _networks(settings: ExternalDiscoverySettings) -> tuple[object, object]:
    return settings.allowed_networks, settings.forbidden_networks


def _has_other_id(stream: ConfiguredStream, device: CameraId | None) -> bool:
    return stream.id is not None and device is not None and device != stream.id

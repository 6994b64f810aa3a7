"""The two methods of the API that search for streams."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from agent_core.plugin import (
    AgentError,
    Clock,
    DependencyFailed,
    InvalidState,
    MethodExample,
    RpcMethod,
    RpcParams,
    RpcResult,
)
from external_discovery import examples
from external_discovery.discovery.component import DiscoveryComponent
from external_discovery.discovery.kinds import CAMERAS, StreamKind
from external_discovery.wire import (
    Discovered,
    DiscoverParams,
    DiscoveryOptions,
    ExternalStream,
    IntervalParams,
    IntervalSet,
)

if TYPE_CHECKING:
    from external_discovery.discovery.results import FoundStream

__all__ = ("DiscoverExternalStreams", "SetDiscoveryInterval")


class DiscoverExternalStreams(RpcMethod[DiscoverParams]):
    """Method `discover_external_streams`.

    Args:
        discovery: component of scans.
        clock: wall clock.
        shown: returns streams as clients see them, each with its camera if it was added.
    """

    name = "discover_external_streams"
    role = "operator"
    summary = "Search the configured networks for streams of UAVs and cameras."
    Params: ClassVar[type[RpcParams]] = DiscoverParams
    Result: ClassVar[type[RpcResult]] = Discovered
    errors: ClassVar[tuple[type[AgentError], ...]] = (InvalidState,)

    @classmethod
    def example(cls) -> MethodExample:
        return examples.discover_external_streams()

    def __init__(
        self,
        discovery: DiscoveryComponent,
        clock: Clock,
        shown: Callable[[Iterable["FoundStream"]], list[ExternalStream]],
    ) -> None:
        self._discovery = discovery
        self._clock = clock
        self._shown = shown

    async def call(self, params: DiscoverParams) -> Discovered:
        kinds = frozenset((StreamKind.SKYDIO,)) if params.skydio_enabled else frozenset[StreamKind]()
        if params.generic_enabled:
            kinds |= CAMERAS
        report = await self._discovery.scan(kinds, force=params.force_rescan) if kinds else None
        found = self._shown(
            each
            for each in self._discovery.streams()
            if each.kind in kinds and (each.online or params.include_offline)
        )
        skydio = [each for each in found if each.type == StreamKind.SKYDIO]
        return Discovered(
            discovered_streams=found,
            skydio_streams=skydio,
            generic_streams=[each for each in found if each.type != StreamKind.SKYDIO],
            scan_timestamp=report.started_at if report else self._clock.now(),
            total_found=len(found),
            discovery_options=DiscoveryOptions(**params.model_dump()),
            scan_duration=f"{report.duration_s if report else 0:.1f}s",
            errors=list(report.errors) if report else [],
        )


class SetDiscoveryInterval(RpcMethod[IntervalParams]):
    """Method `set_discovery_interval`."""

    name = "set_discovery_interval"
    role = "admin"
    summary = "Set how often the agent searches for streams by itself; it is kept over restarts."
    Params: ClassVar[type[RpcParams]] = IntervalParams
    Result: ClassVar[type[RpcResult]] = IntervalSet
    errors: ClassVar[tuple[type[AgentError], ...]] = (InvalidState, DependencyFailed)

    @classmethod
    def example(cls) -> MethodExample:
        return examples.set_discovery_interval()

    def __init__(self, discovery: DiscoveryComponent, clock: Clock) -> None:
        self._discovery = discovery
        self._clock = clock

    async def call(self, params: IntervalParams) -> IntervalSet:
        try:
            await self._discovery.set_interval(params.scan_interval)
        except OSError as error:
            raise DependencyFailed(
                "The interval is in effect, but could not be stored: after a restart the former one holds.",
                reason="not_stored",
                suggestion="Check that the state folder (storage.state_dir) is writable and its disk not full.",
                dependency="storage",
                detail=error.strerror or "",
            ) from error
        if params.scan_interval:
            message = f"The networks are searched every {params.scan_interval} s."
        else:
            message = "The networks are searched only on demand."
        return IntervalSet(scan_interval=params.scan_interval, message=message, timestamp=self._clock.now())

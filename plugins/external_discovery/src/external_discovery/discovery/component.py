"""Component of scans as the core and the methods see it. It loads what scans when it runs, after the agent listens."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from anyio.abc import TaskStatus

from agent_core.plugin import NOT_ASKED, AgentContext, Component, InvalidState
from external_discovery.discovery.kinds import StreamKind

if TYPE_CHECKING:
    from external_discovery.discovery.area import SearchArea
    from external_discovery.discovery.results import FoundStream, ScanReport
    from external_discovery.discovery.service import Discovery
    from external_discovery.discovery.settings import DiscoverySettings
    from external_discovery.policy import AddressPolicy

__all__ = ("PROGRESS", "DiscoveryComponent")

#: Topic of the progress of scans.
PROGRESS = "external_discovery.progress"


class DiscoveryComponent(Component):
    """Component that owns all scans and their results.

    Args:
        agent: what the core lends.
        settings: networks and limits.
        policy: returns the policy of addresses; called when the component first runs, and when its settings change.
    """

    def __init__(
        self, agent: AgentContext, settings: "DiscoverySettings", policy: Callable[[], "AddressPolicy"]
    ) -> None:
        self._agent = agent
        self._settings = settings
        self._policy = policy
        self._service: Discovery | None = None

    @property
    def name(self) -> str:
        return "external_discovery_scans"

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Scan on demand and by interval until cancelled. What was found before a failure stays."""
        if self._service is None:
            self._service = self._assemble()
        await self._service.run(task_status=task_status)

    def configure(self, settings: "DiscoverySettings") -> None:
        """Take over other settings and the policy as it is now; a scan under way ends with the former ones."""
        self._settings = settings
        if self._service is not None:
            self._service.configure(settings, self._area())

    def _area(self) -> "SearchArea":
        from external_discovery.discovery.area import SearchArea

        return SearchArea(self._settings.networks, self._policy())

    def _assemble(self) -> "Discovery":
        from external_discovery.discovery.interval import StoredInterval
        from external_discovery.discovery.service import Discovery

        return Discovery(
            self._settings,
            self._area(),
            StoredInterval(self._agent.state_dir, self._settings.scan_interval_s),
            self._agent.clock,
            partial(self._agent.events.publish, PROGRESS),
        )

    def streams(self) -> "tuple[FoundStream, ...]":
        """Return all found streams, offline ones included, in the order in which they were first seen."""
        return self._service.streams() if self._service is not None else ()

    async def scan(self, kinds: frozenset[StreamKind], *, force: bool = False) -> "ScanReport":
        """As `Discovery.scan`.

        Raises:
            InvalidState: the component does not run.
        """
        return await self._running().scan(kinds, force=force)

    async def set_interval(self, interval_s: int) -> None:
        """As `Discovery.set_interval`.

        Raises:
            InvalidState: the component has not run yet.
            OSError: the interval is in effect and could not be stored.
        """
        await self._running().set_interval(interval_s)

    def _running(self) -> "Discovery":
        if self._service is None:
            raise InvalidState(
                "Scans are not available yet: their component has not started.",
                state="starting",
                allowed_states=("running",),
            )
        return self._service

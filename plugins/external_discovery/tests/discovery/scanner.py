"""Discovery of a test, with what it published."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path

import anyio

from agent_core.plugin import Clock
from agent_core.testing import SystemClock
from external_discovery.discovery.area import SearchArea
from external_discovery.discovery.interval import StoredInterval
from external_discovery.discovery.progress import ScanProgress
from external_discovery.discovery.results import FoundStream
from external_discovery.discovery.service import Discovery
from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.policy import AddressPolicy

#: The first hosts of a test's network.
WIRE = ip_network("10.77.0.0/29")
PATIENT_S = 40.0


class Scanner:
    """Discovery of a test with what it published."""

    def __init__(self, folder: Path, clock: Clock | None, settings: Mapping[str, object]) -> None:
        given = {
            "networks": [str(WIRE)],
            "interfaces": ["eth0"],
            "multicast_wait_s": 0.2,
            "connections_per_s": 10_000,
            "connect_timeout_s": 2,  # the machine may be loaded
            "answer_timeout_s": 20,
            **settings,
        }
        parsed = DiscoverySettings.model_validate(given)
        self.progress: list[ScanProgress] = []
        self._advanced = anyio.Event()
        self.service = Discovery(
            parsed,
            SearchArea(parsed.networks, AddressPolicy()),
            StoredInterval(folder, parsed.scan_interval_s),
            clock or SystemClock(),
            self._publish,
        )

    def _publish(self, progress: ScanProgress) -> None:
        self.progress.append(progress)
        self._advanced.set()

    @property
    def states(self) -> list[str]:
        """Begins and ends of all scans."""
        return [each.state for each in self.progress if each.state != "SCANNING"]

    async def reached(self, *states: str) -> None:
        """Wait until the begins and ends of all scans are `states`."""
        with anyio.fail_after(PATIENT_S):
            while self.states != [*states]:
                self._advanced = anyio.Event()
                await self._advanced.wait()

    @property
    def found(self) -> dict[str, FoundStream]:
        return {stream.url: stream for stream in self.service.streams()}


@asynccontextmanager
async def scanner(
    folder: Path, clock: Clock | None = None, given: Mapping[str, object] | None = None, **settings: object
) -> AsyncIterator[Scanner]:
    made = Scanner(folder, clock, {**(given or {}), **settings})
    async with anyio.create_task_group() as tasks:
        await tasks.start(made.service.run)
        yield made
        tasks.cancel_scope.cancel()

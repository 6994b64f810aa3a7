"""Scans on demand and by interval, one at a time, and what they have found so far."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent_core.plugin import NOT_ASKED, Clock, InvalidState, first_of
from external_discovery.discovery.area import SearchArea
from external_discovery.discovery.catalogue import Catalogue
from external_discovery.discovery.interval import StoredInterval
from external_discovery.discovery.kinds import ALL, SWEPT, StreamKind
from external_discovery.discovery.progress import ProgressReports, ScanProgress
from external_discovery.discovery.results import FoundStream, ScanReport, Sighting
from external_discovery.discovery.scan import Scan
from external_discovery.discovery.settings import DiscoverySettings

__all__ = ("Discovery",)


@dataclass(slots=True)
class _Running:
    """Scan that runs for its callers; it is cancelled when the last one has gone."""

    kinds: frozenset[StreamKind]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    ended: anyio.Event = field(default_factory=anyio.Event)
    callers: int = 0
    report: ScanReport | None = None


class Discovery:
    """Owner of all scans and their results.

    Args:
        settings: networks and limits.
        area: networks within the policy.
        interval: seconds between two scans, kept over restarts.
        clock: source of times and pauses.
        progress: receives the progress of each scan; must not wait.
    """

    def __init__(
        self,
        settings: DiscoverySettings,
        area: SearchArea,
        interval: StoredInterval,
        clock: Clock,
        progress: Callable[[ScanProgress], None],
    ) -> None:
        self._settings = settings
        self._area = area
        self._interval = interval
        self._clock = clock
        self._progress = progress
        self._catalogue = Catalogue(timedelta(seconds=settings.keep_offline_s))
        self._tasks: TaskGroup | None = None
        self._running: _Running | None = None
        self._reports: dict[frozenset[StreamKind], ScanReport] = {}
        self._interval_changed = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Own the scans, and scan by interval, until cancelled."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                await self._interval.load()
                task_status.started()
                await self._scan_by_interval()
            finally:
                self._tasks = None

    def streams(self) -> tuple[FoundStream, ...]:
        """Return all found streams, offline ones included, in the order in which they were first seen."""
        self._catalogue.expire(self._clock.now())
        return self._catalogue.list()

    async def scan(self, kinds: frozenset[StreamKind], *, force: bool = False) -> ScanReport:
        """Scan for streams of `kinds` and return the report; `streams` has the results.

        A scan that already runs and searches for all of `kinds` is joined; for another one, its end is awaited first.
        Without `force` a report that is recent enough is returned instead. Cancelling ends the scan, unless it has other
        callers; what it has found until then stays.

        Raises:
            InvalidState: the component does not run.
        """
        while True:
            if not force and (recent := self._recent(kinds)) is not None:
                return recent
            running = self._running or self._start(kinds)
            joined = kinds <= running.kinds
            report = await self._await(running, holds=joined)
            if joined and report is not None:
                return report

    async def set_interval(self, interval_s: int) -> None:
        """Scan every `interval_s` seconds from now on, also after a restart; 0: only on demand.

        Raises:
            OSError: the interval could not be stored; it is in effect until the agent stops.
        """
        self._interval.value_s = interval_s
        self._interval_changed.set()
        await self._interval.store()

    def configure(self, settings: DiscoverySettings, area: SearchArea) -> None:
        """Take over other settings and networks; a scan under way ends with the former ones.

        An interval that a client has set goes on unless the configured one has changed.
        """
        self._settings, self._area = settings, area
        self._catalogue.keep_offline = timedelta(seconds=settings.keep_offline_s)
        self._reports.clear()  # they are about the former networks
        if self._interval.configure(settings.scan_interval_s):
            self._interval_changed.set()

    @property
    def interval_s(self) -> int:
        return self._interval.value_s

    async def _scan_by_interval(self) -> None:
        """Scan at once when an interval is set, and again each time that it has passed since the last scan's end."""
        ended_s: float | None = None
        while True:
            self._interval_changed = changed = anyio.Event()
            interval_s = self._interval.value_s
            if interval_s == 0:
                await changed.wait()
                continue
            pause_s = 0.0 if ended_s is None else ended_s + interval_s - self._clock.monotonic_s()
            if pause_s > 0:
                await first_of(partial(self._clock.sleep, pause_s), changed.wait)
            else:
                await self.scan(ALL, force=True)
                ended_s = self._clock.monotonic_s()

    async def _await(self, running: _Running, *, holds: bool) -> ScanReport | None:
        """Wait for the end of a scan; with `holds`, as one of its callers."""
        running.callers += holds
        try:
            await running.ended.wait()
        finally:
            running.callers -= holds
            if not running.callers:
                running.scope.cancel()
        return running.report

    def _recent(self, kinds: frozenset[StreamKind]) -> ScanReport | None:
        oldest_s = self._clock.monotonic_s() - self._settings.result_age_s
        fitting = [
            report
            for report in self._reports.values()
            if kinds <= report.kinds and report.ended_s >= oldest_s
        ]
        return max(fitting, key=lambda report: report.ended_s, default=None)

    def _start(self, kinds: frozenset[StreamKind]) -> _Running:
        if self._tasks is None:
            raise InvalidState(
                "Scans are not available: their component does not run.",
                state="stopped",
                allowed_states=("running",),
                suggestion="See the component external_discovery_scans in get_status and the log.",
            )
        self._running = _Running(kinds)
        self._tasks.start_soon(self._run_scan, self._running)
        return self._running

    async def _run_scan(self, running: _Running) -> None:
        try:
            with running.scope:
                running.report = await self._scanned(running.kinds)
                self._reports[running.kinds] = running.report
        finally:
            self._running = None
            running.ended.set()

    async def _scanned(self, kinds: frozenset[StreamKind]) -> ScanReport:
        began, began_s = self._clock.now(), self._clock.monotonic_s()
        urls: set[str] = set()
        reports = ProgressReports(self._progress, self._clock, urls)

        def seen(sighting: Sighting) -> None:
            urls.add(sighting.address.url)
            self._catalogue.saw(sighting, self._clock.now())

        scan = Scan(self._settings, self._area, kinds, self._clock, seen, lambda: reports.advanced(scan))
        reports.tell("STARTED", scan)
        try:
            await scan.run()
        except BaseException:
            reports.tell("CANCELLED", scan)
            raise
        reports.tell("FINISHED", scan)
        if scan.is_complete:
            self._catalogue.missed(kinds, urls)
        else:  # a network that is too large for the limit would never have a stream that is offline
            self._catalogue.missed(kinds & SWEPT, urls, scan.tried)
        ended_s = self._clock.monotonic_s()
        return ScanReport(began, ended_s - began_s, ended_s, kinds, tuple(scan.errors))

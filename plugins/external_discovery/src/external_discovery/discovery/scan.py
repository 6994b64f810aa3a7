"""One scan: what it searches for, where, and how far it is."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import anyio.to_thread

from agent_core.plugin import Clock
from agent_core.plugin.rtsp import Credentials
from external_discovery.address import IpAddress
from external_discovery.discovery.area import SearchArea
from external_discovery.discovery.dnssd import DnssdSearch
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.onvif.multicast import MulticastLimits
from external_discovery.discovery.onvif.streams import OnvifAccount, OnvifLimits, OnvifSearch
from external_discovery.discovery.pacing import Pacer
from external_discovery.discovery.profiles import GENERIC, SKYDIO
from external_discovery.discovery.results import Sighting
from external_discovery.discovery.settings import DiscoverySettings
from external_discovery.discovery.sweep import Sweep, SweepLimits

__all__ = ("Scan",)

_log = logging.getLogger("camera_agent.external_discovery")

_PROFILES = (SKYDIO, GENERIC)
#: Most sentences about what could not be searched; a network of odd devices would give hundreds.
_MOST_ERRORS = 50


@dataclass(slots=True)
class Scan:
    """One scan, run once.

    Attributes:
        settings: networks and limits.
        area: networks within the policy.
        kinds: searches to make; those that the settings switch off are not made.
        clock: source of times and pauses.
        seen: receives each stream, some more than once.
        advanced: is called whenever a host has been tried.
        hosts_total: hosts to try; 0 until that is known.
        hosts_done: hosts that have been tried.
        tried: hosts that have been tried, as they stand in addresses.
        is_complete: everything was searched.
        errors: sentences about what could not be searched, and about answers that led to no stream.
    """

    settings: DiscoverySettings
    area: SearchArea
    kinds: frozenset[StreamKind]
    clock: Clock
    seen: Callable[[Sighting], None]
    advanced: Callable[[], None]
    hosts_total: int = 0
    hosts_done: int = 0
    tried: set[str] = field(default_factory=set)
    is_complete: bool = False
    errors: list[str] = field(default_factory=list)
    _has_failed: bool = False
    _guesses: list[Sighting] = field(default_factory=list)
    _known_hosts: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Search until all hosts have been tried and the time for answers is over, or `scan_limit_s` is.

        Cancelling closes all connections at once.
        """
        if not self.settings.networks:
            self.errors.append(
                "No networks are configured to be searched: list them in "
                "plugins.external_discovery.discovery.networks."
            )
            return
        try:
            with anyio.move_on_after(self.settings.scan_limit_s) as limit:
                await self._search()
        finally:
            self._report_guesses()
        self.is_complete = not (limit.cancelled_caught or self._has_failed)
        if limit.cancelled_caught:
            left = self.hosts_total - self.hosts_done
            self.errors.append(
                f"{left} of {self.hosts_total} hosts were not tried within scan_limit_s ({self.settings.scan_limit_s:g} s)."
            )
        if (count := len(self.errors)) > _MOST_ERRORS:
            self.errors[_MOST_ERRORS:] = [f"{count - _MOST_ERRORS} further messages are left out."]

    async def _search(self) -> None:
        plan = await anyio.to_thread.run_sync(self.area.plan)
        self.hosts_total = len(plan.hosts)
        self.errors += plan.refusals
        pacer = Pacer(self.settings.connections_per_s, self.clock)
        profiles = [each for each in _PROFILES if each.kind in self.kinds]
        async with anyio.create_task_group() as tasks:
            if profiles:
                sweep = self._sweep(pacer)
                tasks.start_soon(self._contained, "of hosts", lambda: sweep.run(plan.hosts, profiles))
            if StreamKind.ONVIF in self.kinds and self.settings.onvif:
                tasks.start_soon(self._contained, "by ONVIF", self._onvif(pacer).run)
            if StreamKind.DNSSD in self.kinds and self.settings.dnssd:
                tasks.start_soon(self._contained, "by DNS-SD", self._dnssd(pacer).run)

    async def _contained(self, name: str, search: Callable[[], Awaitable[None]]) -> None:
        """Run one search; a fault of it, which another host may have provoked, does not end the others."""
        try:
            await search()
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("the search %s failed", name)
            self._has_failed = True
            self.errors.append(
                f"The search {name} ended before its time by a fault, which the agent's log has."
            )

    def _sweep(self, pacer: Pacer) -> Sweep:
        limits = SweepLimits(
            hosts_at_once=self.settings.hosts_at_once,
            connect_timeout_s=self.settings.connect_timeout_s,
            answer_timeout_s=self.settings.answer_timeout_s,
        )
        return Sweep(limits, pacer, seen=self._saw, done=self._host_done)

    def _onvif(self, pacer: Pacer) -> OnvifSearch:
        settings = self.settings
        accounts = [
            OnvifAccount(each.network, Credentials(each.user, each.password.get_secret_value()))
            for each in settings.onvif_accounts
        ]
        multicast = MulticastLimits(settings.interfaces, settings.multicast_ttl, settings.multicast_wait_s)
        limits = OnvifLimits(multicast, settings.answer_timeout_s)
        return OnvifSearch(self.area, accounts, limits, pacer, self.clock, self._saw, self.errors)

    def _dnssd(self, pacer: Pacer) -> DnssdSearch:
        settings = self.settings
        return DnssdSearch(
            self.area,
            settings.interfaces,
            settings.multicast_wait_s,
            settings.answer_timeout_s,
            pacer,
            self._saw,
            self.errors,
        )

    def _saw(self, sighting: Sighting) -> None:
        """Pass a stream on. One whose path is a guess waits until it is clear that no search names the true one."""
        if sighting.kind is StreamKind.GENERIC and sighting.needs_credentials:
            self._guesses.append(sighting)
            return
        self._known_hosts.add(sighting.address.host)
        self.seen(sighting)

    def _report_guesses(self) -> None:
        for sighting in self._guesses:
            if sighting.address.host not in self._known_hosts:
                self.seen(sighting)

    def _host_done(self, host: IpAddress) -> None:
        self.tried.add(str(host))
        self.hosts_done += 1
        self.advanced()

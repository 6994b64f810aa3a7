"""Search for RTSP streams that announce themselves by DNS-SD (`_rtsp._tcp`)."""

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

import anyio

from external_discovery.address import AddressRefused, IpAddress, StreamAddress
from external_discovery.discovery.area import SearchArea
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.pacing import Pacer
from external_discovery.discovery.results import Sighting
from external_discovery.probe import ProbeOutcome, ProbeTarget, probe
from external_discovery.tracks import printable

if TYPE_CHECKING:
    from zeroconf import InterfaceChoice
    from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

__all__ = ("DnssdSearch",)

_TYPE = "_rtsp._tcp.local."
#: Services that are looked at in one search, and addresses of one service.
_MOST_SERVICES = 256
_MOST_ADDRESSES = 8
_SERVICES_AT_ONCE = 8


@dataclass(slots=True)
class DnssdSearch:
    """Search by multicast DNS.

    Attributes:
        area: networks whose announcements count.
        interfaces: names of the only interfaces to search on; empty: all.
        wait_s: time in which announcements are awaited.
        answer_timeout_s: limit of each question about a service, and of each stream's answer.
        pacer: pace of connections.
        seen: receives each stream that its server confirms.
        remarks: receives sentences about announcements that led to no stream.
    """

    area: SearchArea
    interfaces: Sequence[str]
    wait_s: float
    answer_timeout_s: float
    pacer: Pacer
    seen: Callable[[Sighting], None]
    remarks: list[str]

    async def run(self) -> None:
        # It takes 5 MB and 20 ms, which only this search has to pay.
        from zeroconf.asyncio import AsyncServiceBrowser, AsyncZeroconf

        names: dict[str, None] = {}

        # The library calls it with these names.
        def changed(zeroconf: object, service_type: str, name: str, state_change: object) -> None:
            if len(names) < _MOST_SERVICES:
                names[name] = None

        try:
            responder = AsyncZeroconf(interfaces=_interfaces(self.interfaces))
        except (OSError, RuntimeError) as error:  # the latter if no interface has an address
            self.remarks.append(f"No search by DNS-SD could be sent: {error}.")
            return
        try:
            browser = AsyncServiceBrowser(responder.zeroconf, _TYPE, handlers=[changed])
            try:
                await anyio.sleep(self.wait_s)
            finally:
                with anyio.CancelScope(shield=True):
                    await browser.async_cancel()
            await self._look_at(list(names), responder)
        finally:
            with anyio.CancelScope(shield=True):
                await responder.async_close()

    async def _look_at(self, names: list[str], responder: "AsyncZeroconf") -> None:
        places = anyio.CapacityLimiter(_SERVICES_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(self._service, name, responder, places)

    async def _service(self, name: str, responder: "AsyncZeroconf", places: anyio.CapacityLimiter) -> None:
        label = printable(name.removesuffix(f".{_TYPE}")) or "without a name"
        async with places:
            service = await self._resolved(name, responder)
            if service is None:
                self.remarks.append(f"The announced stream {label} could not be resolved.")
                return
            hosts = [host for host in _addresses(service) if self.area.allows(host)]
            if not hosts:
                self.remarks.append(f"The announced stream {label} is in none of the networks to search.")
                return
            await self._confirm(hosts[0], service, label)

    async def _resolved(self, name: str, responder: "AsyncZeroconf") -> "AsyncServiceInfo | None":
        """Return the service; None if it does not answer, or has a name that no service of this type can have."""
        import zeroconf
        from zeroconf.asyncio import AsyncServiceInfo

        try:
            service = AsyncServiceInfo(_TYPE, name)
            answered = await service.async_request(responder.zeroconf, self.answer_timeout_s * 1000)
        except zeroconf.Error:
            return None
        return service if answered else None

    async def _confirm(self, host: IpAddress, service: "AsyncServiceInfo", label: str) -> None:
        place = f"[{host}]" if host.version == 6 else str(host)
        try:
            address, _ = StreamAddress.parse(f"rtsp://{place}:{service.port}/{_path(service).lstrip('/')}")
        except AddressRefused:
            self.remarks.append(f"The announced stream {label} has no usable address.")
            return
        await self.pacer.wait()
        target = ProbeTarget(host, address.port, address.path, address.host)
        found = await probe(target, timeout_s=self.answer_timeout_s)
        if found.outcome not in (ProbeOutcome.STREAM, ProbeOutcome.NEEDS_CREDENTIALS):
            self.remarks.append(f"The announced stream {label} does not open. {found.details}")
            return
        needs_credentials = found.outcome is ProbeOutcome.NEEDS_CREDENTIALS
        self.seen(Sighting(address, label, StreamKind.DNSSD, found.tracks, needs_credentials, found.server))


def _interfaces(names: Sequence[str]) -> "list[str] | InterfaceChoice":
    """Return the interfaces as zeroconf names them, by their IPv4 addresses.

    Raises:
        OSError: none of them has one.
    """
    import ifaddr
    from zeroconf import InterfaceChoice

    if not names:
        return InterfaceChoice.All
    adapters = [each for each in ifaddr.get_adapters() if each.name in names]
    found = [str(each.ip) for adapter in adapters for each in adapter.ips if each.is_IPv4]
    if not found:
        raise OSError(errno.ENODEV, "no such interface with an IPv4 address")
    return found


def _addresses(service: "AsyncServiceInfo") -> list[IpAddress]:
    """Return the announced addresses, IPv4 first."""
    from zeroconf import IPVersion

    packed = service.addresses_by_version(IPVersion.All)
    return [ip_address(each) for each in packed[:_MOST_ADDRESSES]]


def _path(service: "AsyncServiceInfo") -> str:
    """Return the path of the TXT record, `path=`; empty if there is none."""
    for key, value in service.properties.items():
        if key.lower() == b"path" and value:
            return value.decode("ascii", errors="replace")
    return ""

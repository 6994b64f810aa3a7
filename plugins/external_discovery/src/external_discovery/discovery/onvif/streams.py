"""Search for ONVIF devices and for their streams."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import anyio
import httpx

from agent_core.plugin import Clock
from agent_core.plugin.rtsp import Credentials
from external_discovery.address import AddressRefused, IpAddress, StreamAddress
from external_discovery.discovery.area import SearchArea
from external_discovery.discovery.kinds import StreamKind
from external_discovery.discovery.onvif.device import OnvifProfile, profiles_of
from external_discovery.discovery.onvif.multicast import MulticastLimits, SeenDevice, search_devices
from external_discovery.discovery.onvif.soap import DeviceFailed, SoapClient
from external_discovery.discovery.pacing import Pacer
from external_discovery.discovery.results import Sighting
from external_discovery.policy import Network
from external_discovery.probe import ProbeOutcome, ProbeTarget, probe

__all__ = ("OnvifAccount", "OnvifLimits", "OnvifSearch")

#: Devices that are asked at the same time.
_DEVICES_AT_ONCE = 8
#: Longest conversation with one device, in times of one answer: a device with two profiles is asked about ten questions.
_DEVICE_LIMIT_ANSWERS = 5
#: Length of each half of a stream's name; names of added streams have up to 100 characters.
_MOST_NAME_CHARS = 49


@dataclass(frozen=True, slots=True)
class OnvifAccount:
    """Account for the devices of a network."""

    network: Network
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class OnvifLimits:
    """Limits of a search: of its datagrams, and of each answer of a device or a stream."""

    multicast: MulticastLimits
    answer_timeout_s: float


@dataclass(slots=True)
class OnvifSearch:
    """Search for ONVIF devices. Asks only hosts of `area`, whatever addresses a device names.

    Attributes:
        area: networks whose devices count.
        accounts: accounts to use; the one of the smallest network that holds a device is its.
        limits: limits of all parts.
        pacer: pace of connections.
        clock: wall clock and source of pauses.
        seen: receives each stream that its server confirms.
        remarks: receives sentences about devices whose streams could not be listed.
    """

    area: SearchArea
    accounts: Sequence[OnvifAccount]
    limits: OnvifLimits
    pacer: Pacer
    clock: Clock
    seen: Callable[[Sighting], None]
    remarks: list[str]

    async def run(self) -> None:
        """Search, and ask each device that answers for its streams."""
        places = anyio.CapacityLimiter(_DEVICES_AT_ONCE)
        # Proxies of the environment are for other hosts than cameras.
        async with (
            httpx.AsyncClient(timeout=self.limits.answer_timeout_s, trust_env=False) as http,
            anyio.create_task_group() as tasks,
        ):

            def found(device: SeenDevice) -> None:
                tasks.start_soon(self._device, device, http, places)

            self.remarks += await search_devices(self.limits.multicast, found)

    async def _device(
        self, device: SeenDevice, http: httpx.AsyncClient, places: anyio.CapacityLimiter
    ) -> None:
        label = f"The ONVIF device {device.answer.name or device.answer.endpoint} at {device.source}"
        chosen = self._choose(device)
        if chosen is None:
            self.remarks.append(f"{label} is in none of the networks to search.")
            return
        host, service = chosen
        client = SoapClient(http, self._credentials(host), self.clock)
        async with places:
            try:
                with anyio.fail_after(_DEVICE_LIMIT_ANSWERS * self.limits.answer_timeout_s):
                    await self._list(client, service, host, device.answer.name)
            except TimeoutError:
                self.remarks.append(f"{label} did not answer in time.")
            except DeviceFailed as error:
                self.remarks.append(f"{label} lists no streams. {self._explained(error, client)}")

    def _choose(self, device: SeenDevice) -> tuple[IpAddress, str] | None:
        """Return the host to ask and the address of its service; None if no address of the device is allowed.

        The address that the device answered from comes first, because it is reachable: many devices name others too, of
        networks that this host does not share, of IPv6's link, or old ones.
        """
        by_host = {host: url for url in reversed(device.answer.addresses) if (host := _host(url)) is not None}
        if self.area.allows(device.source):
            return device.source, by_host.get(device.source, device.answer.addresses[0])
        allowed = ((host, url) for host, url in by_host.items() if self.area.allows(host))
        return next(allowed, None)

    def _credentials(self, host: IpAddress) -> Credentials | None:
        mine = [
            each for each in self.accounts if each.network.version == host.version and host in each.network
        ]
        return max(mine, key=lambda each: each.network.prefixlen).credentials if mine else None

    def _explained(self, error: DeviceFailed, client: SoapClient) -> str:
        if error.not_authorized and client.credentials is None:
            return "It asks for a user and password: give them in discovery.onvif_accounts."
        return str(error)

    async def _list(self, client: SoapClient, service: str, host: IpAddress, name: str) -> None:
        for profile in await profiles_of(client, service, host):
            address = self._stream(profile, host)
            if address is None:
                self.remarks.append(f"The ONVIF device at {host} names no usable address for {profile.name}.")
                continue
            await self._confirm(address, profile, _stream_name(name or str(host), profile))

    def _stream(self, profile: OnvifProfile, host: IpAddress) -> StreamAddress | None:
        """Return the address of a profile's stream at an allowed host; None if it is no RTSP address.

        Devices behind routers, and some recorders, name hosts that do not exist here. Their own address is then right.
        """
        with contextlib.suppress(AddressRefused, ValueError):
            address, _ = StreamAddress.parse(profile.url)
            if address.scheme == "rtsp":
                is_allowed = address.ip is not None and self.area.allows(address.ip)
                return address if is_allowed else replace(address, host=str(host))
        return None

    async def _confirm(self, address: StreamAddress, profile: OnvifProfile, name: str) -> None:
        """Report the stream if its server knows it; a device's list alone proves nothing."""
        if address.ip is None:
            return
        await self.pacer.wait()
        target = ProbeTarget(address.ip, address.port, address.path, address.host)
        found = await probe(target, timeout_s=self.limits.answer_timeout_s)
        if found.outcome not in (ProbeOutcome.STREAM, ProbeOutcome.NEEDS_CREDENTIALS):
            self.remarks.append(f"The stream {address.url} of an ONVIF device does not open. {found.details}")
            return
        needs_credentials = found.outcome is ProbeOutcome.NEEDS_CREDENTIALS
        tracks = found.tracks or profile.tracks
        self.seen(Sighting(address, name, StreamKind.ONVIF, tracks, needs_credentials, found.server))


def _stream_name(device: str, profile: OnvifProfile) -> str:
    """Return a name that differs between the profiles of a device, and that `add_external_stream` takes."""
    return f"{device[:_MOST_NAME_CHARS]} {profile.name[:_MOST_NAME_CHARS]}"


def _host(url: str) -> IpAddress | None:
    """Return the IP address in the URL of a device's service; None if it has a name or cannot be read."""
    with contextlib.suppress(ValueError, AddressRefused):
        parts = urlsplit(url)
        host = parts.hostname or ""
        literal, _ = StreamAddress.parse(f"rtsp://[{host}]/" if ":" in host else f"rtsp://{host}/")
        return literal.ip if parts.scheme in ("http", "https") else None
    return None

"""Networks that a scan may search, and the hosts in them."""

from collections.abc import Iterator
from dataclasses import dataclass

from external_discovery.address import AddressRefused, IpAddress
from external_discovery.policy import AddressPolicy, Network

__all__ = ("HostPlan", "SearchArea")

#: Largest network whose addresses are tried one by one: 4094 hosts, an IPv4 /20 or an IPv6 /116. What is larger takes too
#: long, and an IPv6 network is all but empty.
_MOST_HOST_BITS = 12


@dataclass(frozen=True, slots=True)
class HostPlan:
    """Hosts to try, in the order of the networks, and sentences about networks and hosts that are left out."""

    hosts: tuple[IpAddress, ...]
    refusals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchArea:
    """Networks that configuration lists, within the policy of addresses.

    Attributes:
        networks: the only networks that are searched and whose answers count.
        policy: what streams may come from at all.
    """

    networks: tuple[Network, ...]
    policy: AddressPolicy

    def allows(self, host: IpAddress) -> bool:
        """Return True if `host` may be asked for streams."""
        if not any(_contains(network, host) for network in self.networks):
            return False
        try:
            self.policy.require(host)
        except AddressRefused:
            return False
        return True

    def plan(self) -> HostPlan:
        """Return the hosts to try, each once, without network and broadcast addresses. May take 0.1 s."""
        hosts: dict[IpAddress, None] = {}
        refusals: list[str] = []
        for network in self.networks:
            if network.max_prefixlen - network.prefixlen > _MOST_HOST_BITS:
                refusals.append(_too_large(network))
                continue
            allowed, refused = self._sorted(network)
            hosts.update(dict.fromkeys(allowed))
            # This host's own address in each of its networks is nothing to tell of.
            remarkable = [error for error in refused if error.reason != "own_address"]
            if remarkable:
                count = len(remarkable)
                refusals.append(f"{network}: {count} addresses are not searched. {remarkable[0].details}")
        return HostPlan(tuple(hosts), tuple(refusals))

    def _sorted(self, network: Network) -> tuple[list[IpAddress], list[AddressRefused]]:
        allowed: list[IpAddress] = []
        refused: list[AddressRefused] = []
        for host in _hosts(network):
            try:
                self.policy.require(host)
            except AddressRefused as error:
                refused.append(error)
            else:
                allowed.append(host)
        return allowed, refused


def _hosts(network: Network) -> Iterator[IpAddress]:
    """Yield the hosts; `hosts` leaves out network, broadcast and anycast addresses, and keeps both of a /31."""
    yield from network.hosts()


def _contains(network: Network, host: IpAddress) -> bool:
    return network.version == host.version and host in network


def _too_large(network: Network) -> str:
    limit = network.max_prefixlen - _MOST_HOST_BITS
    return (
        f"{network} is larger than /{limit}, too large to try its addresses one by one: only ONVIF and DNS-SD find cameras "
        "there. List smaller networks for the others."
    )

"""Addresses that streams may come from, and the choice of the one that is opened.

Without a policy, a client that adds streams could make the agent's host open services of its own, of the cloud that it
runs in, or of networks that only the host reaches. An address that embeds another one is judged by both.
"""

import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import anyio

from agent_core.plugin import CaptureFailed, WorkerPool
from external_discovery.address import AddressRefused, IpAddress, StreamAddress

__all__ = (
    "AddressPolicy",
    "AddressRefused",
    "IpAddress",
    "Network",
    "Pinned",
    "Resolver",
    "StreamAddress",
    "SystemResolver",
    "is_own_address",
    "resolve_and_pin",
)

Network = IPv4Network | IPv6Network
#: Lookups of names that run at the same time; each holds a thread until the name servers answer or all have timed out.
_NAMES_AT_ONCE = 32
#: Returns the addresses of a name; raises CaptureFailed if there are none.
Resolver = Callable[[str], Awaitable[Sequence[IpAddress]]]


_ALLOW = "Allow it by a network in plugins.external_discovery.allowed_networks."


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(each) for each in texts)


#: Services of cloud providers that give credentials to each program of the host: AWS, Google and Azure (169.254.169.254),
#: AWS ECS and EKS, Azure's host, Oracle, Alibaba; and their IPv6 addresses.
_METADATA = _networks(
    "169.254.169.254/32",
    "169.254.170.2/32",
    "169.254.170.23/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "100.100.100.200/32",
    "fd00:ec2::254/128",
    "fd00:ec2::23/128",
    "fd20:ce::254/128",
)
#: Classes that are forbidden unless a configured network lies within them, the most particular first.
_FORBIDDEN: tuple[tuple[str, str, tuple[Network, ...]], ...] = (
    ("metadata_address", "an address of a cloud's metadata service", _METADATA),
    ("loopback", "a loopback address", _networks("127.0.0.0/8", "::1/128")),
    ("link_local", "a link-local address", _networks("169.254.0.0/16", "fe80::/10", "fec0::/10")),
    ("broadcast", "a broadcast address", _networks("255.255.255.255/32")),
    ("multicast", "a multicast address", _networks("224.0.0.0/4", "ff00::/8")),
    ("unspecified", "an address of no host", _networks("0.0.0.0/8", "::/128")),
    ("reserved", "a reserved address", _networks("240.0.0.0/4", "100::/64", "64:ff9b:1::/48")),
)
_LAST_32_BITS = _networks("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96")
#: Interface ids of ISATAP, above their 32 bits of IPv4.
_ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})


def is_own_address(ip: IpAddress) -> bool:
    """Return True if `ip` belongs to this host.

    The kernel answers: towards an own address it sends from that address. Connecting a datagram socket sends nothing.
    """
    family = socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            probe.connect((str(ip), 9))
            return ip_address(probe.getsockname()[0].partition("%")[0]) == ip
    except OSError:
        return False  # no route: it can be no address of this host


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Policy of addresses.

    Attributes:
        allowed: the only networks that streams may come from; empty: all unicast networks. A network within a
            forbidden class, such as 127.0.0.1/32, also lifts the class's prohibition for itself; one that contains a
            class does not, so that 0.0.0.0/0 allows no loopback address. A metadata address, or an own one of the host,
            is allowed only by a network of that one address.
        forbidden: further networks that streams never come from.
        is_own: returns True for addresses of this host.
    """

    allowed: tuple[Network, ...] = ()
    forbidden: tuple[Network, ...] = ()
    is_own: Callable[[IpAddress], bool] = is_own_address

    def require(self, ip: IpAddress) -> None:
        """Check `ip` and each address that it embeds.

        Raises:
            AddressRefused: the reason is the word of the class that it is in.
        """
        ip = _plain(ip)
        for each in (ip, *_embedded(ip)):
            self._require_unforbidden(each)
        reached = (ip, *_translated(ip))
        if self.allowed and not any(_contains(network, each) for network in self.allowed for each in reached):
            raise AddressRefused(
                "network_not_allowed",
                f"{ip} is in none of the networks that the configuration allows.",
                hint=_ALLOW,
            )

    def _require_unforbidden(self, ip: IpAddress) -> None:
        if any(_contains(network, ip) for network in self.forbidden):
            raise AddressRefused("network_forbidden", f"{ip} is in a network that the configuration forbids.")
        own = [network for network in self.allowed if _contains(network, ip)]
        if any(network.num_addresses == 1 for network in own):
            return
        for reason, name, networks in _FORBIDDEN:
            for network in networks:
                if _contains(network, ip) and not any(_is_within(each, network) for each in own):
                    raise AddressRefused(
                        reason,
                        f"{ip} is {name}, from which streams are refused.",
                        hint=_ALLOW,
                    )
        if not ip.is_loopback and self.is_own(ip):  # of loopback addresses their class has decided
            raise AddressRefused(
                "own_address", f"{ip} is an address of this host, whose services are no cameras."
            )


@dataclass(frozen=True, slots=True)
class Pinned:
    """Address of a stream with the one IP address that passed the policy and is opened.

    Attributes:
        address: the address as it was given.
        ip: the chosen IP address of its host.
    """

    address: StreamAddress
    ip: IpAddress

    @property
    def url(self) -> str:
        """URL for the media server. It may hold secret parameters.

        For `rtsps` it keeps a host name, because the camera's certificate is checked against it.
        """
        is_named = self.address.scheme == "rtsps" and self.address.ip is None
        return self.address.url_at(None if is_named else self.ip)


class SystemResolver:
    """The system's resolver, which may wait for a silent name server for a minute. It delays no stop of the agent."""

    def __init__(self) -> None:
        self._threads = WorkerPool(_NAMES_AT_ONCE)

    async def __call__(self, name: str) -> Sequence[IpAddress]:
        """Return the addresses of `name`, in the resolver's order; a cancelled caller returns at once.

        Raises:
            CaptureFailed: the name does not resolve.
        """
        try:
            return await self._threads.run_abandonable(_resolve, name)
        except (OSError, UnicodeError) as error:
            raise CaptureFailed(
                "The host name of the stream does not resolve.",
                reason="name_not_resolved",
                suggestion="Check the name and this host's name server, or use the camera's IP address.",
            ) from error


def _resolve(name: str) -> Sequence[IpAddress]:
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [ip_address(str(place[0]).partition("%")[0]) for *_, place in found]


async def resolve_and_pin(
    address: StreamAddress,
    policy: AddressPolicy,
    *,
    resolver: Resolver,
    preferred: IpAddress | None = None,
    timeout_s: float = 5.0,
) -> Pinned:
    """Resolve the host of `address`, check all its addresses and choose `preferred` if it is one of them, or the first.

    Raises:
        AddressRefused: one of the addresses is forbidden; then none is used, because others may be chosen later.
        CaptureFailed: the name does not resolve within `timeout_s`.
    """
    if (literal := address.ip) is not None:
        policy.require(literal)
        return Pinned(address, _plain(literal))
    found: Sequence[IpAddress] = ()
    with anyio.move_on_after(timeout_s):
        found = await resolver(address.host)
    if not found:
        raise CaptureFailed(
            "The host name of the stream did not resolve in time.",
            reason="name_not_resolved",
            suggestion="Check this host's name server, or use the camera's IP address.",
        )
    for each in found:
        policy.require(each)
    plain = [_plain(each) for each in found]
    return Pinned(address, preferred if preferred in plain else plain[0])


def _plain(ip: IpAddress) -> IpAddress:
    """Return `ip`, or the IPv4 address that an IPv4-mapped one means."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _embedded(ip: IpAddress) -> tuple[IpAddress, ...]:
    """Return the IPv4 addresses that packets to `ip` may reach, by mapping or through gateways."""
    if isinstance(ip, IPv4Address):
        return ()
    value, found = int(ip), [*_translated(ip)]
    if (value >> 32) & 0xFFFF_FFFF in _ISATAP:
        found.append(IPv4Address(value & 0xFFFF_FFFF))
    if ip.sixtofour is not None:
        found.append(ip.sixtofour)
    if ip.teredo is not None:
        found.extend(ip.teredo)
    return tuple(found)


def _translated(ip: IpAddress) -> tuple[IpAddress, ...]:
    """Return the IPv4 address that packets to `ip` certainly reach.

    Tunnels' forms, such as ISATAP's, are not among them: any network may have such addresses.
    """
    if any(_contains(network, ip) for network in _LAST_32_BITS) and int(ip) > 1:
        return (IPv4Address(int(ip) & 0xFFFF_FFFF),)
    return ()


def _contains(network: Network, ip: IpAddress) -> bool:
    return network.version == ip.version and ip in network


def _is_within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, IPv4Network) and isinstance(outer, IPv4Network):
        return inner.subnet_of(outer)
    if isinstance(inner, IPv6Network) and isinstance(outer, IPv6Network):
        return inner.subnet_of(outer)
    return False

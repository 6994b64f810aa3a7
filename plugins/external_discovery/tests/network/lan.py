"""Network of a test: the agent's host and cameras' hosts at one cable or several, with no way out."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import count

from .namespaces import Namespace

__all__ = ("Address", "Host", "Network", "Wire", "running_network")

Address = IPv4Address | IPv6Address

_ETH_P_ALL = 3
_ETH_P_IP = 0x0800
_ETH_P_IPV6 = 0x86DD
_ICMPV6 = 58
_HOP_BY_HOP = 0


class Host(Namespace):
    """Computer at a wire, with addresses of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.addresses: list[Address] = []
        self._plug: tuple[Namespace, str] | None = None

    @property
    def v4(self) -> IPv4Address:
        return next(each for each in self.addresses if isinstance(each, IPv4Address))

    @property
    def v6(self) -> IPv6Address:
        return next(each for each in self.addresses if isinstance(each, IPv6Address))

    def plugged_in(self, switch: Namespace, port: str) -> None:
        self._plug = self._plug or (switch, port)

    def unplug(self) -> None:
        """Cut the cable: connections hang, and nothing answers."""
        self._switch_port("down")

    def replug(self) -> None:
        self._switch_port("up")

    def _switch_port(self, state: str) -> None:
        assert self._plug is not None
        switch, port = self._plug
        switch.ip(f"link set {port} {state}")

    def listen(self, port: int, *, type_: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        """Return a socket of this process that is bound at all addresses of the host, IPv4 and IPv6, non-blocking.

        What it accepts is in the host's namespace too, wherever this process is.
        """
        with self.entered():
            bound = socket.socket(socket.AF_INET6, type_)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind(("::", port))
        if type_ is socket.SOCK_STREAM:
            bound.listen(256)
        bound.setblocking(False)
        return bound


class Wire:
    """Bridge with the hosts at it. Their addresses are handed out in order; the agent has the first."""

    def __init__(
        self, number: int, switch: Namespace, networks: tuple[IPv4Network, IPv6Network], agent: Host
    ) -> None:
        self.v4, self.v6 = networks
        self._number = number
        self._switch = switch
        self._agent = agent
        self._next = count(1)
        self._ports = count()
        switch.ip(
            f"link add name wire{number} type bridge mcast_snooping 0 forward_delay 0",
            f"link set wire{number} up",
        )
        self.plug(agent)

    def plug(self, host: Host, *, addresses: int = 1) -> None:
        """Connect the host by an interface of its own, with that number of addresses of each kind."""
        port = f"w{self._number}p{next(self._ports)}"
        interface = f"eth{self._number}"
        self._switch.ip(
            f"link add name {port} type veth peer name {interface} netns {host.path}",
            f"link set {port} master wire{self._number} up",
        )
        commands = [f"link set {interface} up"]
        for _ in range(addresses):
            number = next(self._next)
            for network in (self.v4, self.v6):
                address = network.network_address + number
                commands.append(f"address add {address}/{network.prefixlen} dev {interface}")
                host.addresses.append(address)
        host.ip(*commands)
        _wait_heard(host, interface)
        host.plugged_in(self._switch, port)

    def add_silent(self, number: int) -> list[IPv4Address]:
        """Return new addresses that swallow every packet, as a host whose firewall drops all."""
        found = [self.v4.network_address + next(self._next) for _ in range(number)]
        self._agent.ip(
            *(f"neigh add {each} lladdr 02:00:00:00:00:01 dev eth{self._number}" for each in found)
        )
        return found


class Network:
    """Hosts at wires that lead nowhere else.

    Whatever the agent's host sends to an address outside the wires' networks ends in an interface that swallows it,
    and `strays` tells it.

    Attributes:
        agent: the host that the agent and the test run on.
        wire: the first wire, 10.77.0.0/24 and fd77:0::/64.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._switch = stack.enter_context(Namespace())
        self._numbers = count()
        self.agent = Host("agent")
        stack.enter_context(self.agent)
        self.wire = self.add_wire()
        self._outside = _Outside(self.agent, self._switch)
        stack.enter_context(self._outside.captured)

    def add_wire(self) -> Wire:
        """Return a further wire with networks of its own, which the agent is connected to."""
        number = next(self._numbers)
        networks = IPv4Network(f"10.77.{number}.0/24"), IPv6Network(f"fd77:{number}::/64")
        return Wire(number, self._switch, networks, self.agent)

    def add_host(self, name: str, *, wire: Wire | None = None, addresses: int = 1) -> Host:
        """Return a new host at the wire, by default the first."""
        host = self._stack.enter_context(Host(name))
        (wire or self.wire).plug(host, addresses=addresses)
        return host

    def strays(self) -> list[str]:
        """Return the destinations outside the wires' networks that packets were sent to since the last call."""
        return self._outside.strays()

    def links(self) -> list[str]:
        """Return the names of all interfaces of the bridges' namespace."""
        return [line.split(": ")[1].partition("@")[0] for line in self._switch.ip("link show").splitlines()]


class _Outside:
    """The way out of a host: a cable whose other end is connected to nothing, and what was sent into it."""

    def __init__(self, host: Host, switch: Namespace) -> None:
        switch.ip(
            f"link add name nowhere type veth peer name outside netns {host.path}",
            "link set nowhere addrgenmode none",
            "link set nowhere up",
        )
        host.ip(
            "link set outside addrgenmode none",
            "link set outside arp off up",
            "route add default dev outside",
            "route add ::/0 dev outside",
        )
        with host.entered():
            self.captured = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
        self.captured.bind(("outside", _ETH_P_ALL))
        self.captured.setblocking(False)

    def strays(self) -> list[str]:
        found = (_destination(packet) for packet in self._packets())
        return sorted({each for each in found if each is not None})

    def _packets(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.captured.recv(128)
            except BlockingIOError:
                return


def _destination(packet: bytes) -> str | None:
    """Return the destination of an Ethernet frame; None for ICMPv6, which the kernel sends of its own accord."""
    (kind,) = struct.unpack_from("!H", packet, 12)
    if kind == _ETH_P_IP:
        protocol, address = packet[23], IPv4Address(packet[30:34])
        return f"{address} protocol {protocol} port {_port(packet, 14 + (packet[14] & 15) * 4)}"
    if kind == _ETH_P_IPV6:
        protocol = packet[20]
        if protocol == _HOP_BY_HOP:  # reports of multicast groups have a router alert before them
            protocol = packet[54]
        return (
            None
            if protocol == _ICMPV6
            else f"{IPv6Address(packet[38:54])} protocol {protocol} port {_port(packet, 54)}"
        )
    return f"frame of type {kind:#06x}"


def _port(packet: bytes, offset: int) -> int:
    return int.from_bytes(packet[offset + 2 : offset + 4], "big")


def _wait_heard(host: Host, interface: str) -> None:
    """Wait until the host hears who asks for its IPv6 address, which takes the kernel a moment.

    A question that is lost is repeated after a second.
    """
    group = f"ff02::1:ff{host.v6.exploded[-7:]}"
    short = str(IPv6Address(group))
    for _ in range(500):
        if f"inet6 {short}" in host.ip(f"maddress show dev {interface}"):
            return
        time.sleep(0.01)
    raise TimeoutError(f"{host.name} does not join {short}")


@contextmanager
def running_network() -> Iterator[Network]:
    """Make a network, with the calling thread on the agent's host while the context is open.

    Enter it before the event loop starts, so that the loop's threads are on that host too.
    """
    with ExitStack() as stack:
        network = Network(stack)
        stack.enter_context(network.agent.entered())
        yield network

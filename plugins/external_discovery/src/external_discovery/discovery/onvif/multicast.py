"""Exchange of WS-Discovery datagrams on each network interface."""

import contextlib
import fcntl
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from uuid import uuid4

import anyio

from external_discovery.discovery.onvif.search import PROBE_TYPES, DeviceAnswer, answers_of, probe_message
from external_discovery.discovery.onvif.xml import XmlRefused

__all__ = ("MulticastLimits", "SeenDevice", "search_devices")

#: WS-Discovery's port and groups (OASIS 2005/04, 2.4).
_PORT = 3702
_GROUPS = {socket.AF_INET: "239.255.255.250", socket.AF_INET6: "ff02::c"}
#: Each message is sent again after this time, because datagrams get lost (SOAP over UDP, 3.5: once for multicast).
_REPEAT_AFTER_S = 0.3
#: Limits of one search, far above what a network of cameras sends.
_MOST_DEVICES = 512
_MOST_DATAGRAMS = 4096
_MOST_DATAGRAM_BYTES = 65_535
#: Many cameras answer at the same moment.
_RECEIVE_BUFFER_BYTES = 1 << 20
#: The kernel's structure ip_mreqn: group, address of the interface, number of the interface.
_MREQN = struct.Struct("4s4si")

#: ioctl and flags of Linux, netdevice(7).
_SIOCGIFFLAGS = 0x8913
_SIOCGIFADDR = 0x8915
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_IFF_MULTICAST = 0x1000
_IFREQ = struct.Struct("16sH14x")


@dataclass(frozen=True, slots=True)
class _Interface:
    """Network interface by the kernel's number and its name.

    Attributes:
        has_ipv4: it has an IPv4 address. Without one the kernel would send from an address of another interface.
    """

    index: int
    name: str
    has_ipv4: bool


def _interfaces(wanted: Sequence[str] = ()) -> tuple[_Interface, ...]:
    """Return the interfaces that are up and can multicast, without loopback.

    Args:
        wanted: names of the only interfaces to return; empty: all.
    """
    names = (name for _, name in socket.if_nameindex() if not wanted or name in wanted)
    return tuple(found for name in names if (found := _interface(name)) is not None)


def _interface(name: str) -> _Interface | None:
    """Return the interface; None if it cannot multicast or has just gone."""
    request = _IFREQ.pack(name.encode(), 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            index = socket.if_nametoindex(name)
            flags = _IFREQ.unpack(fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        except OSError:
            return None
        if not (flags & _IFF_UP and flags & _IFF_MULTICAST) or flags & _IFF_LOOPBACK:
            return None
        try:
            fcntl.ioctl(any_socket, _SIOCGIFADDR, request)
        except OSError:
            return _Interface(index, name, has_ipv4=False)
    return _Interface(index, name, has_ipv4=True)


@dataclass(frozen=True, slots=True)
class MulticastLimits:
    """Limits of a search.

    Attributes:
        interfaces: names of the only interfaces to search on; empty: all.
        ttl: routers that a message may pass, plus one. Only routers that forward multicast pass it.
        wait_s: time in which answers are awaited.
    """

    interfaces: tuple[str, ...]
    ttl: int
    wait_s: float


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """Device with the address from which it answered. That one is reachable; of those that it names, that is unknown."""

    answer: DeviceAnswer
    source: IPv4Address | IPv6Address


async def search_devices(limits: MulticastLimits, seen: Callable[[SeenDevice], None]) -> tuple[str, ...]:
    """Search on every interface at once, and return sentences about what could not be searched.

    Args:
        limits: interfaces, time-to-live and time.
        seen: receives each device once, by its endpoint.
    """
    interfaces = _interfaces(limits.interfaces)
    missing = set(limits.interfaces) - {each.name for each in interfaces}
    errors = [
        f"The interface {name} is down, cannot multicast or does not exist." for name in sorted(missing)
    ]
    exchange = _Exchange(seen)
    with ExitStack() as stack:
        channels = [
            stack.enter_context(each) for place in interfaces for each in _group_sockets(place, limits.ttl)
        ]
        with anyio.move_on_after(limits.wait_s):
            async with anyio.create_task_group() as tasks:
                for channel in channels:
                    tasks.start_soon(exchange.receive, channel)
                    tasks.start_soon(exchange.ask, channel)
                await anyio.sleep_forever()
    if interfaces and not exchange.sent:
        errors.append("No interface could send a search for ONVIF devices: none has an address.")
    return (*errors, *exchange.remarks())


class _Exchange:
    """State of one search."""

    def __init__(self, seen: Callable[[SeenDevice], None]) -> None:
        self._seen = seen
        self._messages = {uuid4(): types for types in PROBE_TYPES}
        self._endpoints: set[str] = set()
        self._datagrams = 0
        self._refused = 0
        self.sent = 0

    def remarks(self) -> tuple[str, ...]:
        """Return sentences about answers that were not used."""
        remarks = []
        if self._refused:
            remarks.append(f"{self._refused} answers to the search for ONVIF devices could not be read.")
        if len(self._endpoints) >= _MOST_DEVICES or self._datagrams >= _MOST_DATAGRAMS:
            remarks.append("More ONVIF devices answered than one search can hold.")
        return tuple(remarks)

    async def ask(self, channel: socket.socket) -> None:
        for pause_s in (0.0, _REPEAT_AFTER_S):
            await anyio.sleep(pause_s)
            for message_id, types in self._messages.items():
                with contextlib.suppress(OSError):  # the interface has no address of this family
                    channel.sendto(probe_message(message_id, types), (_GROUPS[channel.family], _PORT))
                    self.sent += 1

    async def receive(self, channel: socket.socket) -> None:
        while self._datagrams < _MOST_DATAGRAMS:
            await anyio.wait_readable(channel)
            try:
                data, place = channel.recvfrom(_MOST_DATAGRAM_BYTES)
            except OSError:  # what the network says of something sent
                continue
            self._datagrams += 1
            self._take(data, ip_address(place[0].partition("%")[0]))

    def _take(self, data: bytes, source: IPv4Address | IPv6Address) -> None:
        try:
            answers = answers_of(data, frozenset(self._messages))
        except XmlRefused:
            self._refused += 1
            return
        for answer in answers:
            if answer.endpoint not in self._endpoints and len(self._endpoints) < _MOST_DEVICES:
                self._endpoints.add(answer.endpoint)
                self._seen(SeenDevice(answer, source))


def _nonblocking(family: socket.AddressFamily) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_DGRAM)
    opened.settimeout(0)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
    return opened


def _group_sockets(interface: _Interface, ttl: int) -> list[socket.socket]:
    """Return sockets that send to the groups on `interface`. The caller closes them."""
    opened = []
    if interface.has_ipv4:
        by_number = _MREQN.pack(bytes(4), bytes(4), interface.index)
        opened.append(_nonblocking(socket.AF_INET))
        opened[-1].setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, by_number)
        opened[-1].setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, ttl)
    try:
        opened.append(_nonblocking(socket.AF_INET6))
    except OSError:  # switched off in the kernel
        return opened
    opened[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface.index)
    opened[-1].setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, ttl)
    return opened

"""Accounts of this host behind TCP connections, according to the kernel.

The agent's publishers have no password: FFmpeg's argument list, which every account can read, would show it. The owner
of a socket cannot be forged.
"""

import errno
import ipaddress
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from anyio.abc import SocketAttribute, SocketStream

from agent_core.plugin import WorkerPool

__all__ = ("Endpoint", "Peers", "ends_of", "is_own_account", "owner_by_netlink", "owner_by_table")

_log = logging.getLogger("camera_agent.embedded_server")

#: linux/netlink.h and linux/sock_diag.h.
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY = 4, 20
_NLM_F_REQUEST, _NLMSG_ERROR = 1, 2
_MESSAGE = struct.Struct("=IHHII")
#: `inet_diag_req_v2`: family, protocol, extensions, padding, states; then ports, addresses, interface, cookie.
_QUERY, _PORTS, _TAIL = struct.Struct("=BBBBI"), struct.Struct("!HH"), struct.Struct("=III")
_ANY_STATE = _NO_COOKIE = 0xFFFF_FFFF
#: `inet_diag_msg`: family and state at the front; the owner and the inode after the ports, addresses and queues.
_FOUND_STATE, _FOUND_OWNER, _ERROR = struct.Struct("=BB"), struct.Struct("=II"), struct.Struct("=i")
_OWNER_OFFSET = 64
_ESTABLISHED = 1
_ROOT = 0
_TABLES: Mapping[socket.AddressFamily, Path] = {
    socket.AF_INET: Path("/proc/net/tcp"),
    socket.AF_INET6: Path("/proc/net/tcp6"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """IPv4 or IPv6 address and port; an IPv4-mapped IPv6 address becomes IPv4."""

    address: str
    port: int

    @classmethod
    def of(cls, address: str, port: int) -> "Endpoint":
        """Normalise an address in the form of `getpeername`.

        Raises:
            ValueError: `address` is not an IP address.
        """
        parsed = ipaddress.ip_address(address.partition("%")[0])
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return cls(str(mapped or parsed), port)

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def subscriber(self) -> str:
        """Part of the address that one client has to itself: the IPv4 address, or the IPv6 network of 64 bits."""
        address = ipaddress.ip_address(self.address)
        if address.version == 4 or address.is_link_local or address.is_loopback:
            return self.address
        return str(ipaddress.ip_network((self.address, 64), strict=False))

    @property
    def packed(self) -> bytes:
        return socket.inet_pton(self.family, self.address)


def owner_by_netlink(client: Endpoint, server: Endpoint) -> int | None:
    """Ask the kernel for the owner of the client's socket.

    Returns:
        The user id; None if this host has no such socket, or if no process holds it any more (the kernel reports those
        as root's).

    Raises:
        OSError: the kernel does not support the query, or denies it.
    """
    query = _QUERY.pack(client.family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE)
    query += _PORTS.pack(client.port, server.port) + client.packed.ljust(16, b"\0")
    query += server.packed.ljust(16, b"\0") + _TAIL.pack(0, _NO_COOKIE, _NO_COOKIE)
    head = _MESSAGE.pack(_MESSAGE.size + len(query), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(head + query)
        answer = kernel.recv(8192)  # the kernel has queued it when `send` returns
    if _MESSAGE.unpack_from(answer)[1] == _NLMSG_ERROR:
        number = -int(_ERROR.unpack_from(answer, _MESSAGE.size)[0])
        if number == errno.ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    _, state = _FOUND_STATE.unpack_from(answer, _MESSAGE.size)
    owner, inode = _FOUND_OWNER.unpack_from(answer, _MESSAGE.size + _OWNER_OFFSET)
    return int(owner) if state == _ESTABLISHED and inode else None


def owner_by_table(client: Endpoint, server: Endpoint, table: str) -> int | None:
    """Find the owner in the text of `/proc/net/tcp` or `/proc/net/tcp6`; return None as `owner_by_netlink` does."""
    wanted = [_table_text(client), _table_text(server), f"{_ESTABLISHED:02X}"]
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[1:4] == wanted and fields[9] != "0":
            return int(fields[7])
    return None


def _table_text(end: Endpoint) -> str:
    words = struct.unpack(f"={len(end.packed) // 4}I", end.packed)
    return "".join(f"{word:08X}" for word in words) + f":{end.port:04X}"


class Peers:
    """Owners of the other ends of connections.

    Args:
        ask: queries the kernel for the owner of a socket, as `owner_by_netlink` does.
        tables: the kernel's tables of TCP sockets, read where `ask` finds no owner.
    """

    def __init__(
        self,
        *,
        ask: Callable[[Endpoint, Endpoint], int | None] = owner_by_netlink,
        tables: Mapping[socket.AddressFamily, Path] = _TABLES,
    ) -> None:
        self._ask = ask
        self._tables = tables
        self._threads = WorkerPool(1)

    async def owner(self, client: Endpoint, server: Endpoint) -> int | None:
        """Find the owner of the client's socket; cancelling does not wait for a read that hangs.

        Returns:
            The user id, or None if no process of this host has the socket.
        """
        found = self.owner_at_once(client, server)
        return await self.owner_in_tables(client, server) if found is None else found

    def owner_at_once(self, client: Endpoint, server: Endpoint) -> int | None:
        """Ask the kernel, which answers without waiting; None means unknown."""
        try:
            return self._ask(client, server)
        except OSError as error:
            _log.debug("The kernel does not report the owner of a connection: %s.", error.strerror)
            return None

    async def owner_in_tables(self, client: Endpoint, server: Endpoint) -> int | None:
        """Search the kernel's tables, as `owner` does if the kernel does not know the socket.

        A kernel without the module tcp_diag reports every socket as missing.
        """
        try:
            return await self._threads.run_abandonable(_look_up, self._tables, client, server)
        except OSError:
            _log.warning(
                "Neither netlink nor /proc/net reports the owner of a connection. "
                "Publishers on this host need a user with a password: set plugins.embedded_server.users."
            )
            return None


def is_own_account(owner: int | None) -> bool:
    """Return whether the owner of a connection's other end is the agent's own account, or root."""
    return owner is not None and owner in (os.geteuid(), _ROOT)


def ends_of(stream: SocketStream) -> tuple[Endpoint, Endpoint] | None:
    """Return the client's and the server's end; None if the client has already gone."""
    remote = stream.extra(SocketAttribute.remote_address, None)  # noqa: S610 - not Django
    local = stream.extra(SocketAttribute.local_address, None)  # noqa: S610 - not Django
    if not isinstance(remote, tuple) or not isinstance(local, tuple):
        return None
    return Endpoint.of(str(remote[0]), int(remote[1])), Endpoint.of(str(local[0]), int(local[1]))


def _look_up(tables: Mapping[socket.AddressFamily, Path], client: Endpoint, server: Endpoint) -> int | None:
    """Search both tables: a client may reach an IPv4 address through an IPv6 socket."""
    found = owner_by_table(client, server, tables[client.family].read_text())
    if found is None and client.family is socket.AF_INET and tables[socket.AF_INET6].exists():
        pair = [Endpoint(f"::ffff:{end.address}", end.port) for end in (client, server)]
        found = owner_by_table(pair[0], pair[1], tables[socket.AF_INET6].read_text())
    return found

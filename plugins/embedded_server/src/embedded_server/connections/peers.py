"""Tells which account of this host is at the other end of a TCP connection: what the kernel says, not the client.

A publisher of the agent has no password: it would stand in FFmpeg's argument list, which every account can read. The
owner of its socket is what no other account can forge.
"""

import errno
import ipaddress
import logging
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from anyio.abc import SocketAttribute, SocketStream

__all__ = ("Endpoint", "is_own_account", "owner", "owner_by_netlink", "owner_by_table")

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
_TABLES = {socket.AF_INET: Path("/proc/net/tcp"), socket.AF_INET6: Path("/proc/net/tcp6")}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port of IPv4 or IPv6; an IPv4 address that is written as IPv6 becomes IPv4."""

    address: str
    port: int

    @classmethod
    def of(cls, address: str, port: int) -> "Endpoint":
        """Normalise an address as `getpeername` gives it.

        Raises:
            ValueError: it is no IP address.
        """
        parsed = ipaddress.ip_address(address.partition("%")[0])
        mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
        return cls(str(mapped or parsed), port)

    @property
    def family(self) -> socket.AddressFamily:
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def packed(self) -> bytes:
        return socket.inet_pton(self.family, self.address)


def owner_by_netlink(client: Endpoint, server: Endpoint) -> int | None:
    """Ask the kernel for the owner of the client's socket.

    Returns:
        The user id, or None where there is no such socket on this host, or one that no process holds any more: the
        kernel reports those as root's.

    Raises:
        OSError: the kernel does not answer such questions.
    """
    query = _QUERY.pack(client.family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE)
    query += _PORTS.pack(client.port, server.port) + client.packed.ljust(16, b"\0")
    query += server.packed.ljust(16, b"\0") + _TAIL.pack(0, _NO_COOKIE, _NO_COOKIE)
    head = _MESSAGE.pack(_MESSAGE.size + len(query), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_NETLINK, kind, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(head + query)
        answer = kernel.recv(8192)  # it is there when `send` returns
    if _MESSAGE.unpack_from(answer)[1] == _NLMSG_ERROR:
        number = -int(_ERROR.unpack_from(answer, _MESSAGE.size)[0])
        if number == errno.ENOENT:
            return None
        raise OSError(number, os.strerror(number))
    _, state = _FOUND_STATE.unpack_from(answer, _MESSAGE.size)
    owner, inode = _FOUND_OWNER.unpack_from(answer, _MESSAGE.size + _OWNER_OFFSET)
    return int(owner) if state == _ESTABLISHED and inode else None


def owner_by_table(client: Endpoint, server: Endpoint, table: str) -> int | None:
    """Find the owner in the text of `/proc/net/tcp` or `tcp6`; None as for `owner_by_netlink`."""
    wanted = [_table_text(client), _table_text(server), f"{_ESTABLISHED:02X}"]
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[1:4] == wanted and fields[9] != "0":
            return int(fields[7])
    return None


def _table_text(end: Endpoint) -> str:
    words = struct.unpack(f"={len(end.packed) // 4}I", end.packed)
    return "".join(f"{word:08X}" for word in words) + f":{end.port:04X}"


async def is_own_account(stream: SocketStream) -> bool:
    """Tell whether the other end is a process on this host of the agent's own account or of root."""
    ends = _ends(stream)
    uid = None if ends is None else await owner(*ends)
    return uid is not None and uid in (os.geteuid(), _ROOT)


def _ends(stream: SocketStream) -> tuple[Endpoint, Endpoint] | None:
    """Give both ends; None where the client has gone already."""
    remote = stream.extra(SocketAttribute.remote_address, None)  # noqa: S610 - not Django
    local = stream.extra(SocketAttribute.local_address, None)  # noqa: S610 - not Django
    if not isinstance(remote, tuple) or not isinstance(local, tuple):
        return None
    return Endpoint.of(str(remote[0]), int(remote[1])), Endpoint.of(str(local[0]), int(local[1]))


async def owner(
    client: Endpoint, server: Endpoint, *, ask: Callable[[Endpoint, Endpoint], int | None] = owner_by_netlink
) -> int | None:
    """Find the owner of the client's socket by `ask`, and in the kernel's tables where that finds none.

    A kernel whose module tcp_diag is missing answers "no such socket" for each one, so that answer is not the last word.

    Returns:
        The user id, or None where no process of this host has the socket.
    """
    try:
        found = ask(client, server)
    except OSError as error:
        _log.debug("The kernel does not tell who connects: %s.", error.strerror)
        found = None
    if found is not None:
        return found
    try:
        return await to_thread.run_sync(_look_up, client, server)
    except OSError:
        _log.warning(
            "Neither netlink nor /proc/net tells who connects; publishing from this host needs a user with a password."
        )
        return None


def _look_up(client: Endpoint, server: Endpoint) -> int | None:
    """Look in both tables: a client may reach an IPv4 address through an IPv6 socket."""
    found = owner_by_table(client, server, _TABLES[client.family].read_text())
    if found is None and client.family is socket.AF_INET and _TABLES[socket.AF_INET6].exists():
        pair = [Endpoint(f"::ffff:{end.address}", end.port) for end in (client, server)]
        found = owner_by_table(pair[0], pair[1], _TABLES[socket.AF_INET6].read_text())
    return found

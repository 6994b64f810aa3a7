"""Listeners of the server and the addresses at which they are reached, with an explanation for each fault."""

import errno
import socket

import anyio
from anyio.abc import Listener, SocketListener, SocketStream

from agent_core.plugin import StartFailed

__all__ = ("host_in_url", "listen", "reachable_host")

_BACKLOG = 65_536  # the kernel lowers it to its own limit
_ALL = "::"
#: By the cause: the reason and the next step, with the plugin's settings of port and host.
_REASONS = {
    errno.EADDRINUSE: ("port_in_use", "Stop the program that uses the port, or set {port} to another port."),
    errno.EACCES: ("port_not_allowed", "Set {port} to a port above 1023, or allow the agent low ports."),
    errno.EADDRNOTAVAIL: (
        "host_not_here",
        "Set {host} to an address of this machine, or bring its network up.",
    ),
    errno.EAFNOSUPPORT: ("host_not_here", "Set {host} to an IPv4 address: this machine has no IPv6."),
}
_HOST_UNKNOWN = ("host_unknown", "Set {host} to an address of this machine, for example 127.0.0.1.")
_UNKNOWN = ("listen_failed", "Check {host} and {port}.")


async def listen(host: str, port: int, setting: str) -> Listener[SocketStream]:
    """Listen on `host`; `::` means all addresses, those of IPv4 as well.

    Args:
        host: address or name.
        port: 0 for a free one.
        setting: name of the port's setting, for the explanation.

    Raises:
        StartFailed: `port_in_use`, `port_not_allowed`, `host_not_here`, `host_unknown` or `listen_failed`.
    """
    try:
        if host == _ALL and socket.has_dualstack_ipv6():
            both = socket.create_server(
                (host, port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
            return await SocketListener.from_socket(both)
        return await anyio.create_tcp_listener(local_host=host, local_port=port, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        raise _explain(error, host, port, setting) from error


def reachable_host(host: str) -> str:
    """Return the address by which programs on this host reach a listener on `host`."""
    return "127.0.0.1" if host in ("0.0.0.0", _ALL) else host  # noqa: S104 - compared, not bound


def host_in_url(host: str) -> str:
    """Return `host` as URLs and `HOST:PORT` write it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def _explain(error: Exception, host: str, port: int, setting: str) -> StartFailed:
    if isinstance(error, (socket.gaierror, UnicodeError)):
        reason, step = _HOST_UNKNOWN
    else:
        reason, step = _REASONS.get((isinstance(error, OSError) and error.errno) or 0, _UNKNOWN)
    cause = ((isinstance(error, OSError) and error.strerror) or str(error)).lower()
    prefix = "plugins.embedded_server."
    return StartFailed(
        f"The embedded media server cannot listen on {host}, port {port}: {cause}.",
        reason=reason,
        suggestion=step.format(port=f"{prefix}{setting}", host=f"{prefix}host"),
    )

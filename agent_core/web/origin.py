"""Check of the `Origin` header, by which browsers name the page that opens a WebSocket."""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ("origin_allowed",)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def origin_allowed(
    origin: str | None, *, allowed: Sequence[str], own_hosts: Sequence[str], own_port: int
) -> bool:
    """Return True if a handshake with this `Origin` is allowed; None, from clients other than browsers, is.

    The agent's own origin is one of `own_hosts` at `own_port`. The `Host` header is deliberately not used: a foreign
    name that resolves to this machine would pass (DNS rebinding). `allowed` has exact origins, `null` (a page opened
    from a file) and patterns with a trailing `*`, which never match `null`.
    """
    if origin is None:
        return True
    wanted = origin.lower()
    return any(_matches(wanted, each.lower()) for each in allowed) or _is_own(wanted, own_hosts, own_port)


def _matches(origin: str, pattern: str) -> bool:
    if pattern.endswith("*"):
        return origin.startswith(pattern[:-1]) and _is_whole(origin)
    return origin == pattern


def _is_whole(origin: str) -> bool:
    """Return True if a browser could send this origin: scheme, host and port, nothing else."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return False
    whole = f"{parts.scheme}://{parts.netloc}" == origin and bool(parts.hostname)
    return whole and "@" not in parts.netloc and port != 0


def _is_own(origin: str, own_hosts: Sequence[str], own_port: int) -> bool:
    if not _is_whole(origin):
        return False
    parts = urlsplit(origin)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    hosts = {host.lower() for host in own_hosts}
    if any(_is_loopback(host) for host in hosts):
        hosts |= _LOOPBACK_NAMES
    return port == own_port and parts.hostname in hosts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

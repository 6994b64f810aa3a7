"""Listening sockets and TLS certificate, with an explanation for each fault."""

import errno
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

from agent_core.base.errors import StartFailed

__all__ = ("bind", "refuse_unusable", "tls_context")

_BACKLOG = 512
#: Ports below need a privilege.
_FIRST_FREE_PORT = 1024
_NOT_ALLOWED = "Allow the agent this port (net.ipv4.ip_unprivileged_port_start, SELinux, AppArmor), or choose another server.port."
_REASONS = {
    errno.EADDRINUSE: ("port_in_use", "Stop the program that uses it, or choose another server.port."),
    errno.EACCES: ("port_not_allowed", "Choose a server.port above 1023, or allow the agent low ports."),
    errno.EADDRNOTAVAIL: ("host_not_here", "Set server.host to an address of this machine."),
    errno.EAFNOSUPPORT: ("host_not_here", "Set server.host to an IPv4 address: this machine has no IPv6."),
}


def bind(host: str, port: int) -> tuple[socket.socket, ...]:
    """Return listening sockets for all addresses of `host`; port 0 chooses one free port for all.

    Raises:
        StartFailed: `port_in_use`, `port_not_allowed`, `host_not_here`, `host_unknown`.
    """
    bound: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            chosen = bound[0].getsockname()[1] if bound else port
            bound.append(_listen(family, (address[0], chosen, *address[2:])))
    except OSError as error:
        for each in bound:
            each.close()
        raise _explain(error, host, port) from error
    return tuple(bound)


def refuse_unusable(host: str, port: int) -> None:
    """Check that `bind` would succeed, without listening, so that an agent starting meanwhile is not disturbed.

    Raises:
        StartFailed: as `bind`.
    """
    for family, address in _addresses(host, port):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                _bind(probe, family, address)
        except OSError as error:
            raise _explain(error, host, port) from error


def tls_context(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """Return the TLS context; None if TLS is not configured.

    Raises:
        StartFailed: only one of the two is configured, or they are unusable.
    """
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise StartFailed(
            "TLS needs both a certificate and its key.",
            reason="tls_incomplete",
            suggestion="Set server.tls_certificate and server.tls_key.",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # The callback keeps an encrypted key from prompting for a password at a terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        raise StartFailed(
            f"The TLS certificate {certificate} with the key {key} cannot be used: {error.strerror or type(error).__name__}.",
            reason="tls_unusable",
            suggestion="Check server.tls_certificate and server.tls_key: readable PEM files, the key without password.",
        ) from error
    return context


def _addresses(
    host: str, port: int
) -> Sequence[tuple[socket.AddressFamily, tuple[str, int, *tuple[int, ...]]]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise StartFailed(
            f"Cannot listen on {host}: the host name does not resolve.",
            reason="host_unknown",
            suggestion="Set server.host to an address of this machine, for example 127.0.0.1.",
        ) from error
    unique = dict.fromkeys((family, address) for family, _, _, _, address in found)
    return [
        (family, (str(address[0]), int(address[1]), *map(int, address[2:]))) for family, address in unique
    ]


def _listen(family: socket.AddressFamily, address: tuple[str, int, *tuple[int, ...]]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)  # noqa: FBT003 - positional in the standard library
        _bind(listening, family, address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _bind(
    unbound: socket.socket, family: socket.AddressFamily, address: tuple[str, int, *tuple[int, ...]]
) -> None:
    unbound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        unbound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    unbound.bind(address)


def _explain(error: OSError, host: str, port: int) -> StartFailed:
    reason, suggestion = _REASONS.get(
        error.errno or 0, ("listen_failed", "Check server.host and server.port.")
    )
    if reason == "port_not_allowed" and port >= _FIRST_FREE_PORT:
        suggestion = _NOT_ALLOWED
    cause = (error.strerror or str(error)).lower()
    return StartFailed(
        f"Cannot listen on {host}, port {port}: {cause}.", reason=reason, suggestion=suggestion
    )

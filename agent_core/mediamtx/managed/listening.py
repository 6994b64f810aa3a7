"""Explanation of a listener that the managed server could not open, from the server's own words."""

import re

from agent_core.base.errors import StartFailed
from agent_core.mediamtx.managed.config import Ports

__all__ = ("explain_listener", "explain_no_port")

#: Ports below need a privilege, unless the host's net.ipv4.ip_unprivileged_port_start differs.
_FIRST_FREE_PORT = 1024

#: Go's net.OpError: the system call and the words of errno.
_NO_LISTENER = re.compile(r"listen \w+ \S*:([0-9]{1,5}): (?:bind|listen|socket|setsockopt): (.+)")

_NOT_HERE = "cannot assign requested address"
_NO_LOOPBACK = (
    "host_not_here",
    "Give this host's loopback interface its address: `ip address add 127.0.0.1/8 dev lo`.",
)


def explain_listener(said: str, ports: Ports) -> StartFailed | None:
    """Return the error for the server's last line of level ERR; None if that is about something else."""
    found = _NO_LISTENER.fullmatch(said)
    if found is None:
        return None
    port, words = int(found[1]), found[2]
    reason, suggestion = _cause(words, port, f"media_server.{ports.setting(port)}")
    cause = "another program uses it" if reason == "port_in_use" else words
    return StartFailed(
        f"The media server cannot listen on port {port}: {cause}.", reason=reason, suggestion=suggestion
    )


def explain_no_port(error: OSError) -> StartFailed:
    """Return the error for the search of a free port, on the loopback address, that failed."""
    words = (error.strerror or str(error)).lower()
    otherwise = "listen_failed", "Set the ports under media_server, or free some of this host's."
    reason, suggestion = _NO_LOOPBACK if words == _NOT_HERE else otherwise
    return StartFailed(
        f"There is no free port for the media server on 127.0.0.1: {words}.",
        reason=reason,
        suggestion=suggestion,
    )


def _cause(words: str, port: int, key: str) -> tuple[str, str]:
    """Return the reason and the next step for the words of an errno (errno(3))."""
    if words == "address already in use":
        return "port_in_use", f"Stop that program, or set {key}."
    if words == _NOT_HERE:
        return _NO_LOOPBACK
    if words != "permission denied":
        return "listen_failed", f"Check {key} and the network of this host."
    if port < _FIRST_FREE_PORT:
        return "port_not_allowed", f"Set {key} to a port above {_FIRST_FREE_PORT - 1}."
    return (
        "port_not_allowed",
        f"Allow the agent's account this port (net.ipv4.ip_unprivileged_port_start, SELinux, AppArmor), or set {key}.",
    )

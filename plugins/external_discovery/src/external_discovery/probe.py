"""Probe of one RTSP address: what it is asked for and what comes of it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

import anyio

from external_discovery.tracks import Track

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = ("Probe", "ProbeOutcome", "ProbeTarget", "Track", "probe")

_PATH = re.compile(r"/[\x21-\x7e]*\Z")


class ProbeOutcome(StrEnum):
    """Results of a probe. Only `STREAM` and `NEEDS_CREDENTIALS` mean that a stream may be there."""

    #: The server described at least one medium.
    STREAM = "stream"
    #: The server speaks RTSP and asks for a password, and none was given.
    NEEDS_CREDENTIALS = "needs_credentials"
    #: The server did not accept the given user and password.
    WRONG_CREDENTIALS = "wrong_credentials"
    #: The server speaks RTSP and has no stream at this path.
    NOT_FOUND = "not_found"
    #: The server names another address. The probe does not follow it.
    REDIRECTED = "redirected"
    #: The host accepts connections and does not finish an answer in time.
    SILENT = "silent"
    #: The host answers, in something else than RTSP, or closes the connection without an answer.
    NOT_RTSP = "not_rtsp"
    #: The host refuses the connection, or the server the request, for example because it has too many readers.
    REFUSED = "refused"
    #: No connection within the time limit: no route, no such host, or a firewall.
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """Address to probe.

    Attributes:
        address: address to connect to; nothing is resolved.
        port: TCP port.
        path: path and query, which begin with `/`.
        host: host as the URL names it, for the requests; an IPv6 address without brackets.
        tls: the connection uses TLS (`rtsps`), and `host` must be in a certificate that the system trusts.

    Raises:
        ValueError: the path does not begin with `/`, or contains blanks or other characters than ASCII.
    """

    address: IPv4Address | IPv6Address
    port: int
    path: str
    host: str
    tls: bool = False

    def __post_init__(self) -> None:
        if not _PATH.match(self.path):
            raise ValueError(
                "The path of an RTSP address must begin with '/' and be of ASCII without blanks."
            )

    @property
    def url(self) -> str:
        """Address of the requests, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rtsps' if self.tls else 'rtsp'}://{host}:{self.port}{self.path}"


@dataclass(frozen=True, slots=True)
class Probe:
    """Result of a probe.

    Attributes:
        outcome: what was found.
        tracks: media of the stream; empty unless `outcome` is `STREAM`.
        server: name that the server gives itself, shortened; empty if it gives none.
        details: one sentence for the operator, without credentials.
        realm: realm of the server's first request for a password, shortened; often it names the maker.
    """

    outcome: ProbeOutcome
    tracks: tuple[Track, ...]
    server: str
    details: str
    realm: str = ""


async def probe(
    target: ProbeTarget,
    *,
    credentials: "Credentials | None" = None,
    timeout_s: float,
    connect_timeout_s: float | None = None,
) -> Probe:
    """Ask the server at `target` for its stream. Network faults are outcomes.

    Makes at most three connections, one after the other, reads a bounded number of bytes, and follows no redirect. Sends
    the credentials only after a challenge, and once: cameras lock an account after a few wrong passwords. Cancelling
    closes the connection.

    Args:
        target: address to probe. The caller has checked it against the policy.
        credentials: user and password for Basic or Digest, as the server asks.
        timeout_s: limit of the whole probe.
        connect_timeout_s: limit of the connection itself, if it is shorter.
    """
    # RTSP is loaded after the agent listens.
    from external_discovery.probing import Probing

    probing = Probing(target, credentials)
    with anyio.move_on_after(timeout_s):
        return await probing.run(min(timeout_s, connect_timeout_s or timeout_s))
    return probing.timed_out(timeout_s)

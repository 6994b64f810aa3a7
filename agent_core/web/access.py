"""Access to what the port serves: credentials and signed links of requests."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

import anyio
from starlette.requests import Request
from starlette.types import Scope

from agent_core.auth.links import DownloadLinks, Link
from agent_core.auth.live import LiveAccess
from agent_core.auth.roles import Principal
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed
from agent_core.web.http_errors import CrossSite
from agent_core.web.peer import Peer

__all__ = (
    "FileAccess",
    "Gate",
    "credentials_of",
    "missing_credentials",
    "peer_of",
    "refuse_other_sites",
    "require",
    "wait_expired",
)

#: Longest sleep until the end of credentials: the clock may be set meanwhile.
_LONGEST_SLEEP_S = 30.0
#: Values of `Sec-Fetch-Site` of requests that pages of other origins cause.
_OTHER_SITES = frozenset({"cross-site", "same-site"})


class Gate(Protocol):
    """Checks credentials. `agent_core.auth.authenticator.Authenticator` implements it, and the test of the routes."""

    async def require(self, credentials: str, address: str, role: str) -> Principal:
        """Check credentials. Raises AuthenticationFailed, PermissionDenied or RateLimited."""
        ...

    async def catch_up(self) -> None:
        """Have the latest revocations taken over, before a link is checked."""
        ...

    def is_current(self, credential: str) -> bool:
        """Return True unless the credentials of a `Principal` have been revoked or changed."""
        ...


def credentials_of(request: Request) -> str | None:
    """Return the token or API key of the request's headers; None without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return request.headers.get("x-api-key")


def missing_credentials() -> AuthenticationFailed:
    """Return the error of a request without credentials."""
    return AuthenticationFailed(
        "This request needs a token or an API key.",
        reason="missing_credentials",
        suggestion="Send Authorization: Bearer TOKEN, or X-API-Key.",
    )


async def require(request: Request, gate: Gate, role: str) -> Principal:
    """Check the request's headers; the peer is known while it is answered.

    Raises:
        AuthenticationFailed, PermissionDenied, RateLimited: the request has no such access.
    """
    credentials = credentials_of(request)
    if credentials is None:
        raise missing_credentials()
    peer = peer_of(request.scope)
    principal = await gate.require(credentials, peer.address, role)
    peer.set_known(is_known=True)
    return principal


async def wait_expired(expires_at: datetime | None, clock: Clock) -> None:
    """Wait for the end of credentials; for ever with None."""
    if expires_at is None:
        await anyio.sleep_forever()
        return
    while (rest_s := (expires_at - clock.now()).total_seconds()) > 0:
        await clock.sleep(min(rest_s, _LONGEST_SLEEP_S))


def refuse_other_sites(request: Request) -> None:
    """Check that no page of another origin has caused the request, as far as the browser tells. Raises CrossSite."""
    if request.headers.get("sec-fetch-site") in _OTHER_SITES:
        raise CrossSite


def peer_of(scope: Scope) -> Peer:
    """Return the connection of a request."""
    peer: Peer = scope["state"]["peer"]
    return peer


def _link(request: Request, kind: str, name: str) -> Link | None:
    """Return the signed link of the request; None without a signature."""
    query = request.query_params
    expires, signature = query.get("expires"), query.get("sig")
    if expires is None or signature is None:
        return None
    return Link(kind, name, expires, query.get("by", ""), signature)


@dataclass(frozen=True, slots=True)
class FileAccess:
    """Access to files by credentials or links, and its end."""

    gate: Gate
    links: DownloadLinks
    live: LiveAccess

    async def require(self, request: Request, kind: str, name: str) -> Callable[[], bool]:
        """Check the request's credentials, or else its link; return the check that they have not been revoked.

        Raises:
            AuthenticationFailed, PermissionDenied, RateLimited: the request has no access to files.
        """
        link = _link(request, kind, name)
        if credentials_of(request) is not None or link is None:
            principal = await require(request, self.gate, "viewer")
            return partial(self.gate.is_current, principal.credential)
        await self.gate.catch_up()
        if not self.links.is_valid(link):
            raise AuthenticationFailed(
                "This link is invalid or has expired.",
                reason="link_invalid",
                suggestion="Get a new download_url, for example with get_snapshot_info.",
            )
        peer_of(request.scope).set_known(is_known=True)
        return partial(self.links.is_live, link)

"""Access to views: as to files, by a view link, or by HTTP Basic with an API key as the password."""

import binascii
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import anyio
from starlette.requests import Request

from agent_core.auth.live import LiveAccess
from agent_core.auth.stored_keys import API_KEY_PREFIX
from agent_core.auth.view_links import ViewLinks
from agent_core.base.clock import Clock
from agent_core.base.errors import AuthenticationFailed
from agent_core.base.waiting import first_of
from agent_core.web.access import (
    Gate,
    credentials_of,
    missing_credentials,
    peer_of,
    refuse_other_sites,
    wait_expired,
)

__all__ = ("LINK_PARAM", "Grant", "ViewAccess", "challenge_for")

#: Parameter of the query that has the secret of a view link.
LINK_PARAM = "view"
_BASIC = 'Basic realm="camera-agent", charset="UTF-8"'


@dataclass(frozen=True, slots=True)
class Grant:
    """Access of one request.

    Attributes:
        user: name of the user, by which requests take turns.
        expires_at: end of the credentials or of the link; None if they do not expire.
        is_current: returns True unless they have been revoked.
        by_link: a view link gives the access.
    """

    user: str
    expires_at: datetime | None
    is_current: Callable[[], bool]
    by_link: bool = False

    async def wait_expired(self, clock: Clock) -> None:
        """Wait for the end of the credentials or of the link; for ever if they do not expire."""
        await wait_expired(self.expires_at, clock)

    async def wait_over(self, live: LiveAccess, clock: Clock) -> None:
        """Wait until the credentials or the link have expired or were revoked."""
        revoked = anyio.Event()
        with suppress(AuthenticationFailed), live.hold(self.is_current, revoked.set):
            await first_of(revoked.wait, partial(self.wait_expired, clock))


@dataclass(frozen=True, slots=True)
class ViewAccess:
    """Access to views by credentials or links, and its end."""

    gate: Gate
    links: ViewLinks
    live: LiveAccess

    async def require(self, request: Request, device: str, *, by_link: bool = True) -> Grant:
        """Check the request's credentials, or else its view link unless `by_link` is False.

        Raises:
            AuthenticationFailed, PermissionDenied, RateLimited: the request has no access to this camera's views.
        """
        credentials = credentials_of(request)
        secret = request.query_params.get(LINK_PARAM)
        if credentials is None and secret is not None and by_link:
            await self.gate.catch_up()
            link = self.links.verify(secret, device)
            peer_of(request.scope).set_known(is_known=True)
            is_current = partial(self.links.is_current, link)
            return Grant(f"view link {link.id}", link.expires_at, is_current, by_link=True)
        refuse_other_sites(request)
        credentials = credentials or _password_of(request)
        if credentials is None:
            raise missing_credentials()
        peer = peer_of(request.scope)
        principal = await self.gate.require(credentials, peer.address, "viewer")
        peer.set_known(is_known=True)
        is_current = partial(self.gate.is_current, principal.credential)
        return Grant(principal.user_id, principal.expires_at, is_current)


def challenge_for(request: Request) -> str:
    """Return the challenge for a request without valid credentials.

    That of Basic lets a browser ask for a password: only for a request that no page has caused. A page has its own login,
    and players and hubs, which need the challenge, send none of these headers.
    """
    headers = request.headers
    by_page = headers.get("sec-fetch-site", "none") != "none" and headers.get("sec-fetch-mode") != "navigate"
    is_direct = not by_page and "origin" not in headers and "referer" not in headers
    return _BASIC if is_direct and credentials_of(request) is None else "Bearer"


def _password_of(request: Request) -> str | None:
    """Return the password of HTTP Basic, if it may be an API key, or else one that is none; None without Basic."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        password = b64decode(encoded.strip(), validate=True).decode(errors="replace").partition(":")[2]
    except (binascii.Error, ValueError):
        password = ""
    # Tokens are longer than some players allow, and end within a day: only keys are for players.
    return password if password.startswith(API_KEY_PREFIX) else API_KEY_PREFIX

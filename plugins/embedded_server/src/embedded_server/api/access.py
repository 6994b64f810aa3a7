"""Admission of HTTP requests: no web pages, and only users of the server.

A web page can make a browser send requests to any address that the browser's host can reach. It cannot choose the
headers that name its origin, and it cannot send JSON with its content type without a preflight request.
"""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent_core.plugin.rtsp import Credentials
from embedded_server.api.http import HttpRequest
from embedded_server.config.gotext import Json
from embedded_server.config.users import Access, allowed_user, same_password

__all__ = ("ApiUser", "api_user", "given_credentials", "is_json", "why_foreign")

_FROM_ELSEWHERE = ("cross-site", "same-site")


@dataclass(frozen=True, slots=True)
class ApiUser:
    """User of the API. Only the agent itself may set commands."""

    is_agent: bool


def api_user(users: Json, agent: Credentials, request: HttpRequest) -> ApiUser | None:
    """Identify the client as the agent or one of `authInternalUsers`; return None if it may not use the API."""
    given = given_credentials(request)

    def proves(wanted: Credentials) -> bool:
        return (
            given is not None and given.user == wanted.user and same_password(given.password, wanted.password)
        )

    if proves(agent):
        return ApiUser(is_agent=True)
    allowed = allowed_user(users, Access("api", "", request.peer, given is not None, proves))
    return None if allowed is None else ApiUser(is_agent=False)


def given_credentials(request: HttpRequest) -> Credentials | None:
    """Return the credentials of a Basic or Bearer (`user:password`) header; None if there is no such header."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("basic", "bearer"):
        return None
    try:
        text = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else value
    except (binascii.Error, UnicodeDecodeError):
        return Credentials("", "")
    user, _, password = text.partition(":")
    return Credentials(user, password)


def why_foreign(request: HttpRequest, names: Sequence[str]) -> str | None:
    """Return the reason to refuse the request as one of a foreign web page; None if it is not.

    A foreign `Host` comes from a page whose own name has been made to resolve to this host (DNS rebinding). `names` are
    those of this server besides `localhost` and its addresses.
    """
    host = request.headers.get("host")
    if host is not None and not _is_ours(host, request.local, names):
        return "the Host header does not name this server"
    origin = request.headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return "requests from web pages are not accepted"
    if request.headers.get("sec-fetch-site", "").lower() in _FROM_ELSEWHERE:
        return "requests from web pages are not accepted"
    return None


def _is_ours(host: str, local: str, names: Sequence[str]) -> bool:
    try:
        parts = urlsplit(f"//{host}")
        name, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return False
    if not name or parts.netloc != host or parts.username is not None:
        return False
    if name == "localhost" or name in (each.lower() for each in names):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not ipaddress.ip_address(local).is_loopback


def is_json(content_type: str) -> bool:
    """Return whether the type is JSON; a page can send other types, or none, without a preflight request."""
    return content_type.partition(";")[0].strip().lower() == "application/json"

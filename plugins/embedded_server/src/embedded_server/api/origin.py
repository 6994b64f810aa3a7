"""Keeps web pages out of the API: what a browser can be made to send from elsewhere is refused.

A page may send requests to any address of the host that its browser runs on. It cannot choose the headers that say
where it comes from, and without asking first it cannot send JSON as such.
"""

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from embedded_server.api.http import HttpRequest

__all__ = ("is_json", "why_foreign")

_FROM_ELSEWHERE = ("cross-site", "same-site")


def why_foreign(request: HttpRequest, names: Sequence[str]) -> str | None:
    """Say what makes the request one of a foreign page; None if it is not.

    `names` are those of this server besides `localhost` and its addresses. A foreign `Host` is that of a page whose
    name has been made to point here (DNS rebinding).
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
    """Tell whether a body of that type is JSON; a page can send other types, and none, without asking first."""
    return content_type.partition(";")[0].strip().lower() == "application/json"

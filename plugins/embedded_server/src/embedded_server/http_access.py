"""Who an HTTP client is: its credentials against the server's users."""

import base64
import binascii

from agent_core.plugin.rtsp import Credentials
from embedded_server.gotext import Json
from embedded_server.http import HttpRequest
from embedded_server.users import Access, allowed_user, same_password

__all__ = ("given_credentials", "may_use_api")


def may_use_api(users: Json, request: HttpRequest) -> bool:
    """Whether one of `authInternalUsers` lets this request use the API."""
    given = given_credentials(request)

    def proves(wanted: Credentials) -> bool:
        return (
            given is not None and given.user == wanted.user and same_password(given.password, wanted.password)
        )

    return allowed_user(users, Access("api", "", request.peer, given is not None, proves)) is not None


def given_credentials(request: HttpRequest) -> Credentials | None:
    """Basic, or Bearer with user and password; None if there are none at all."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() not in ("basic", "bearer"):
        return None
    try:
        text = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else value
    except (binascii.Error, UnicodeDecodeError):
        return Credentials("", "")
    user, _, password = text.partition(":")
    return Credentials(user, password)

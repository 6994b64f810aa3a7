"""Who an HTTP client is: its credentials against the server's users."""

import base64
import binascii
from dataclasses import dataclass

from agent_core.plugin.rtsp import Credentials
from embedded_server.api.http import HttpRequest
from embedded_server.config.gotext import Json
from embedded_server.config.users import Access, allowed_user, same_password

__all__ = ("ApiUser", "api_user", "given_credentials")


@dataclass(frozen=True, slots=True)
class ApiUser:
    """Who uses the API. Only the agent itself may set commands."""

    is_agent: bool


def api_user(users: Json, agent: Credentials, request: HttpRequest) -> ApiUser | None:
    """Tell who it is, of the agent and `authInternalUsers`; None for one who may not."""
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

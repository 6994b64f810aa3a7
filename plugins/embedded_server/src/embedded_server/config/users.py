"""Permissions of MediaMTX's internal users."""

import hashlib
import hmac
import ipaddress
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent_core.plugin.rtsp import Credentials
from embedded_server.config.gotext import Json
from embedded_server.config.names import matches

__all__ = ("DEFAULT_USERS", "Access", "allowed_user", "redacted", "same_password")

_ALL_PATHS: tuple[str, ...] = ("publish", "read", "playback")

DEFAULT_USERS: list[Json] = [
    {
        "user": "any",
        "pass": "",
        "ips": [],
        "permissions": [{"action": one, "path": ""} for one in _ALL_PATHS],
    }
]


@dataclass(frozen=True, slots=True)
class Access:
    """Request of a client for a permission.

    Attributes:
        address: IP address of the client.
        given: the request has credentials, right or wrong.
        proves: returns whether the request proves the given credentials.
        may_be_anonymous: the client has the permissions of `any`.
    """

    action: str
    path: str
    address: str
    given: bool
    proves: Callable[[Credentials], bool]
    may_be_anonymous: bool = True


def allowed_user(users: Json, access: Access) -> str | None:
    """Return the first of `authInternalUsers` with the permission, empty for an anonymous user; None if there is none."""
    for user in users if isinstance(users, list) else []:
        if isinstance(user, dict) and _may(user, access) and _knows(user, access):
            return "" if user["user"] == "any" else str(user["user"])
    return None


def _may(user: Mapping[str, Json], access: Access) -> bool:
    networks, permissions = user["ips"], user["permissions"]
    if isinstance(networks, list) and networks:
        address = ipaddress.ip_address(access.address)
        if not any(address in ipaddress.ip_network(str(one)) for one in networks):
            return False
    granted = permissions if isinstance(permissions, list) else []
    return any(isinstance(one, dict) and _grants(one, access) for one in granted)


def _grants(permission: Mapping[str, Json], access: Access) -> bool:
    if permission["action"] != access.action:
        return False
    path = str(permission["path"])
    if access.action not in _ALL_PATHS or not path:
        return True
    return bool(matches(path, access.path)) if path.startswith("~") else path == access.path


def _knows(user: Mapping[str, Json], access: Access) -> bool:
    if user["user"] == "any":
        return access.may_be_anonymous
    return access.given and access.proves(Credentials(str(user["user"]), str(user["pass"])))


def same_password(given: str, configured: str) -> bool:
    """Compare a client's password with a configured one, which is plain text or `sha256:BASE64`."""
    if configured.startswith("sha256:"):
        given = "sha256:" + b64encode(hashlib.sha256(given.encode()).digest()).decode()
    return hmac.compare_digest(given.encode(), configured.encode())


def redacted(users: Json) -> Json:
    """Return the users without their passwords, as the API shows them."""
    if not isinstance(users, list):
        return users
    return [
        {**user, "pass": "<redacted>" if user["pass"] else ""} if isinstance(user, dict) else user
        for user in users
    ]

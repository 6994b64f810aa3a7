"""Endpoints of a media server: the addresses and the credentials with which the agent reaches it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

from agent_core.base.errors import PluginError
from agent_core.base.field_rules import kind_of
from agent_core.config import MediaServerConfig
from agent_core.plugin import MediaServerEndpoints

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = ("Endpoints",)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses that end without a slash; credentials for the API and for reading, None if none are needed."""

    api_url: str
    rtsp_url: str
    credentials: "Credentials | None" = None

    @classmethod
    def configured(cls, settings: MediaServerConfig) -> Self:
        """Return the endpoints of an external media server from its settings."""
        return cls(settings.api_url.rstrip("/"), settings.rtsp_url.rstrip("/"), _credentials(settings))

    @classmethod
    def reported(cls, value: MediaServerEndpoints) -> Self:
        """Return a copy of the endpoints that a component reported; foreign code may return anything.

        Raises:
            PluginError: the addresses or credentials are unusable.
        """
        for name in ("api_url", "rtsp_url"):
            url: object = getattr(value, name, None)
            if not (isinstance(url, str) and _is_address(url)):
                raise _wrong(value, f"{name} is not an address")
        from agent_core.plugin.rtsp import Credentials  # here: an agent without a media server never needs it

        credentials: object = getattr(value, "credentials", None)
        if credentials is not None and not isinstance(credentials, Credentials):
            raise _wrong(value, "credentials are not Credentials")
        return cls(value.api_url, value.rtsp_url, credentials)

    def reading(self, path: str) -> "tuple[str, Credentials | None]":
        """Return the RTSP address of `path` without credentials, and the credentials to read it."""
        at = urlsplit(f"{self.rtsp_url}/{path}")
        credentials = self.credentials
        if credentials is None and at.username:
            from agent_core.plugin.rtsp import Credentials

            credentials = Credentials(unquote(at.username), unquote(at.password or ""))
        return at._replace(netloc=at.netloc.rpartition("@")[2]).geturl(), credentials


def _is_address(url: str) -> bool:
    try:
        at = urlsplit(url)
        at.port  # noqa: B018 - raises if it is not a number
    except ValueError:
        return False
    return bool(at.hostname) or (at.scheme == "unix" and bool(at.path))


def _wrong(value: object, fault: str) -> PluginError:
    return PluginError(
        f"The media server's wait_endpoints() returned {kind_of(value)}, whose {fault}.",
        reason="wrong_endpoints",
    )


def _credentials(settings: MediaServerConfig) -> "Credentials | None":
    if not settings.user:
        return None
    from agent_core.plugin.rtsp import Credentials

    return Credentials(settings.user, settings.password.get_secret_value() if settings.password else "")

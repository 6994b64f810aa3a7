"""Settings under `[plugins.embedded_server]`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from agent_core.plugin import Settings
from embedded_server.config.gotext import Json

__all__ = ("EmbeddedServerSettings", "User")

_FROM_HERE = ("127.0.0.1/32", "::1/128")


class User(BaseModel):
    """Account for the API and for RTSP."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, pattern=r"^[^:\x00-\x1f]+$", description="user name")
    password: SecretStr = Field(description="password in plain text, or sha256:BASE64")
    actions: tuple[Literal["api", "publish", "read"], ...] = Field(
        default=("api", "publish", "read"), description="actions that the user is allowed"
    )

    @field_validator("name")
    @classmethod
    def _is_named(cls, name: str) -> str:
        if name == "any":
            raise ValueError(
                "a user cannot be named 'any': MediaMTX reserves this name for clients without a password; choose another"
            )
        return name


class EmbeddedServerSettings(Settings):
    """Settings of the embedded media server."""

    host: str = Field(default="127.0.0.1", description="address to listen on; `::` for all of IPv6 and IPv4")
    api_port: int = Field(default=9997, ge=0, le=65535, description="port of the API, 0 for a free one")
    rtsp_port: int = Field(default=8554, ge=0, le=65535, description="port of RTSP, 0 for a free one")
    users: tuple[User, ...] = Field(
        default=(),
        description="users who may use the API and publish, besides the agent; if empty, all clients may read",
    )
    rtsp_auth_methods: tuple[Literal["basic", "digest"], ...] = Field(
        default=("basic",), min_length=1, description="authentication methods offered to RTSP clients"
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="host names, besides localhost and the server's addresses, by which clients reach the API",
    )
    record_path: str | None = Field(
        default=None,
        description="recordPath of paths that set none; default: in the agent's folder of recordings",
    )
    apply_delay_s: float = Field(
        default=0.005, ge=0, le=60, description="seconds between the answer to a change and its effect"
    )
    legacy: Literal["1.15.4"] | None = Field(
        default=None, description="emulate this older version of MediaMTX"
    )

    @field_validator("record_path")
    @classmethod
    def _has_a_folder(cls, record_path: str | None) -> str | None:
        if record_path is not None and not record_path.partition("%")[0].rpartition("/")[0].strip("/."):
            raise ValueError("record_path must name a folder before its first % field")
        return record_path

    def auth_internal_users(self) -> list[Json]:
        """Return the users in MediaMTX's format, empty if there are none.

        `RtspAccess` restricts the publishing that `any` is granted here to the agent's own account.
        """
        if not self.users:
            return []
        users: list[Json] = [_entry("any", "", _FROM_HERE, ("publish",))]
        for user in self.users:
            actions = tuple(one for action in user.actions for one in _granted(action))
            users.append(_entry(user.name, user.password.get_secret_value(), (), actions))
        return users


def _granted(action: str) -> tuple[str, ...]:
    return {"api": ("api", "metrics", "pprof"), "read": ("read", "playback")}.get(action, (action,))


def _entry(name: str, password: str, networks: tuple[str, ...], actions: tuple[str, ...]) -> Json:
    permissions: list[Json] = [{"action": action, "path": ""} for action in actions]
    return {"user": name, "pass": password, "ips": list(networks), "permissions": permissions}

"""What can be set under `[plugins.embedded_server]`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from agent_core.plugin import Settings
from embedded_server.gotext import Json

__all__ = ("EmbeddedServerSettings", "User")

_FROM_HERE = ("127.0.0.1/32", "::1/128")


class User(BaseModel):
    """One account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="user name")
    password: SecretStr = Field(description="password in clear, or sha256:BASE64")
    actions: tuple[Literal["api", "publish", "read"], ...] = Field(
        default=("api", "publish", "read"), description="what the user may do"
    )

    @property
    def is_hashed(self) -> bool:
        return self.password.get_secret_value().startswith("sha256:")


class EmbeddedServerSettings(Settings):
    """Ports 0 mean a free one."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    api_port: int = Field(default=9997, ge=0, le=65535, description="port of the API, 0 for a free one")
    rtsp_port: int = Field(default=8554, ge=0, le=65535, description="port of RTSP, 0 for a free one")
    users: tuple[User, ...] = Field(
        default=(),
        description="who may use the server; with none, everybody may publish and read, and the API answers to this host only",
    )
    rtsp_auth_methods: tuple[Literal["basic", "digest"], ...] = Field(
        default=("basic",), min_length=1, description="how RTSP clients are asked for their password"
    )
    record_path: str = Field(
        default="./recordings/%path/%Y-%m-%d_%H-%M-%S-%f", description="recordPath of paths that set none"
    )
    apply_delay_s: float = Field(
        default=0.005, ge=0, le=60, description="seconds between the answer to a write and its effect"
    )
    legacy: Literal["1.15.4"] | None = Field(default=None, description="speak like this older version")

    @property
    def api_user(self) -> User | None:
        """The first user that may use the API and whose password is known in clear: the agent's own account."""
        return next((user for user in self.users if "api" in user.actions and not user.is_hashed), None)

    def auth_internal_users(self) -> list[Json]:
        """The users in MediaMTX's shape, empty if there are none. Publishing from this host needs no password."""
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

"""Access to the agent: its address and a token, from options, environment or this host's configuration."""

import argparse
import ipaddress
import json
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext, create_default_context
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_core.base.small_files import read_small
from agent_core.cli.exits import UsageFailed
from agent_core.cli.loading import load_settings
from agent_core.cli.local_token import local_token

if TYPE_CHECKING:
    from agent_core.client import AgentClient
    from agent_core.config import AgentConfig, ServerConfig, StorageConfig

__all__ = (
    "Access",
    "configured_url",
    "connected",
    "find_access",
    "http_url",
    "read_token",
    "renew",
    "running_socket",
    "running_url",
)

#: Addresses that mean "all interfaces" when listening, with the address to connect to.
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def running_url(endpoint_file: Path) -> str | None:
    """Return the address that the running agent announced.

    None if the file is missing or unreadable, or its process is gone.
    """
    try:
        parts = urlsplit(str(_running(endpoint_file)["url"]))
        if parts.scheme not in {"ws", "wss"}:
            return None
        return _url(parts.scheme, parts.hostname or "", parts.port or 0, parts.path)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def running_socket(endpoint_file: Path) -> Path | None:
    """Return the unix socket of the running agent; None without one, or as for `running_url`."""
    try:
        path = Path(str(_running(endpoint_file)["socket"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return path if path.is_absolute() else None


def _running(endpoint_file: Path) -> dict[str, object]:
    """Return the announcement; raise if it is missing or invalid, or its process is gone."""
    stored = json.loads(read_small(endpoint_file, private=True))
    if not isinstance(stored, dict) or not _is_alive(int(stored["pid"])):
        raise ValueError(endpoint_file)
    return stored


def configured_url(server: "ServerConfig") -> str:
    """Return the address at which an agent with this configuration would listen.

    Raises:
        AgentUnreachable: the port is 0 (any free port).
    """
    if server.port == 0:
        from agent_core.client.errors import AgentUnreachable

        raise AgentUnreachable(
            "No agent with this configuration is running on this host.",
            reason="not_running",
            suggestion="Start it with `camera-agent run`, or give another agent's address with --url.",
        )
    return _url("wss" if server.tls_certificate else "ws", server.host, server.port, "/ws")


def http_url(config: "AgentConfig") -> str:
    """Return the HTTP address, with a slash at its end, of the running agent or of one with this configuration.

    Raises:
        AgentUnreachable: as for `configured_url`.
    """
    url = running_url(config.storage.endpoint_file) or configured_url(config.server)
    return url.replace("ws", "http", 1).removesuffix("ws")


def _url(scheme: str, host: str, port: int, path: str) -> str:
    host = _ANY.get(host, host)
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{path}"


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


@dataclass(frozen=True, slots=True)
class Access:
    """Address and credentials of an agent.

    `ssl` trusts the agent's own certificate, if it is known; None trusts those of the system. `local_url`, if set, is
    tried first: the socket of this host's agent, which has no limit of connections.
    """

    url: str
    token: str | None
    ssl: SSLContext | None = None
    local_url: str | None = None

    def __repr__(self) -> str:
        return f"Access({self.url!r})"


@asynccontextmanager
async def connected(arguments: argparse.Namespace) -> "AsyncGenerator[AgentClient]":
    """Connect to the agent that the options, the environment or this host's configuration name."""
    access = find_access(arguments, os.environ)
    async with AsyncExitStack() as stack:
        yield await _connect(access, stack)


async def _connect(access: Access, stack: AsyncExitStack) -> "AgentClient":
    from agent_core.client import AgentClient, AgentUnreachable

    if access.local_url is not None:
        with suppress(AgentUnreachable):
            return await stack.enter_async_context(AgentClient(access.local_url, access.token))
    return await stack.enter_async_context(AgentClient(access.url, access.token, ssl=access.ssl))


async def renew(agent: "AgentClient", arguments: argparse.Namespace) -> None:
    """Authenticate again with a new token: a local one is valid for a minute; a token file may have a newer one.

    Raises:
        CallFailed: the agent refuses the new token too.
    """
    await agent.call("authenticate", auth_token=find_access(arguments, os.environ).token)


def find_access(arguments: argparse.Namespace, environment: Mapping[str, str]) -> Access:
    """Return the address and the token; use this host's secret only for an agent on this host.

    Raises:
        UsageFailed: an option or variable is invalid.
        ConfigError: the configuration is needed but invalid.
        AuthenticationFailed: a token is needed but cannot be made.
        AgentUnreachable: no address is known.
    """
    given_url = arguments.url or environment.get("CAMERA_AGENT_URL")
    url = _checked_url(given_url) if given_url else None
    token = _given_token(arguments.token_file, environment)
    if url is not None and (token is not None or not _is_this_host(url)):
        return Access(url, token)
    config = load_settings(arguments.config)
    local_url = None if url else _local_url(config.storage)
    url = url or running_url(config.storage.endpoint_file) or configured_url(config.server)
    return Access(url, token or local_token(config.storage), _trust(config, url), local_url)


def _local_url(storage: "StorageConfig") -> str | None:
    from agent_core.client.address import unix_url

    path = running_socket(storage.endpoint_file)
    return unix_url(path) if path is not None else None


def _checked_url(text: str) -> str:
    advice = (
        "Use the form ws://HOST:8002/ws, wss:// for an agent with a certificate, or unix:///PATH on its host."
    )
    try:
        parts = urlsplit(text)
        if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
            return text
        is_usable = parts.scheme in {"ws", "wss"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageFailed("The agent's address is not a WebSocket URL.", reason="bad_url", suggestion=advice)
    if parts.username or parts.password or parts.query:
        raise UsageFailed(
            "The agent's address contains credentials or a query.",
            reason="secret_in_url",
            suggestion="Give a token with --token-file or in CAMERA_AGENT_TOKEN.",
        )
    return text if parts.path.strip("/") else parts._replace(path="/ws").geturl()


def _given_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    if file is None:
        return environment.get("CAMERA_AGENT_TOKEN", "").strip() or None
    return read_token(file)


def read_token(file: Path) -> str:
    """Return the token in a file that contains only that. Raises UsageFailed if it cannot be read or is empty."""
    try:
        token = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        raise UsageFailed(
            f"The token file {file} cannot be read: {said.lower()}.",
            reason="token_file",
            suggestion="Give the path of a file that contains only a token.",
        ) from error
    if not token:
        raise UsageFailed(
            f"The token file {file} is empty.",
            reason="token_file",
            suggestion="Write a token to it; `camera-agent token create` makes one on the agent's host.",
        )
    return token


def _is_this_host(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or parts.scheme == "unix":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _trust(config: "AgentConfig", url: str) -> SSLContext | None:
    """Return a context that trusts the agent's own certificate, whatever host name it has."""
    certificate = config.server.tls_certificate
    if certificate is None or not url.startswith("wss:"):
        return None
    try:
        context = create_default_context(cafile=certificate)
    except OSError:
        return None
    context.check_hostname = False
    return context

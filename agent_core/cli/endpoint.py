"""Where the agent of this host listens."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_core.base.small_files import read_small

if TYPE_CHECKING:
    from agent_core.config import ServerConfig

__all__ = ("configured_url", "running_socket", "running_url")

#: "Every address" to listen on, and the one of them to connect to.
_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


def running_url(endpoint_file: Path) -> str | None:
    """Return the address that the running agent wrote.

    None without a file, with an unreadable one, or when its process is gone.
    """
    try:
        parts = urlsplit(str(_running(endpoint_file)["url"]))
        if parts.scheme not in {"ws", "wss"}:
            return None
        return _url(parts.scheme, parts.hostname or "", parts.port or 0, parts.path)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def running_socket(endpoint_file: Path) -> Path | None:
    """Return the unix socket of the running agent; None where it has none, or as for `running_url`."""
    try:
        path = Path(str(_running(endpoint_file)["socket"]))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return path if path.is_absolute() else None


def _running(endpoint_file: Path) -> dict[str, object]:
    """Read the announcement; raises where there is none of a living process, or it is none."""
    stored = json.loads(read_small(endpoint_file, private=True))
    if not isinstance(stored, dict) or not _is_alive(int(stored["pid"])):
        raise ValueError(endpoint_file)
    return stored


def configured_url(server: "ServerConfig") -> str:
    """Where an agent of this configuration would listen.

    Raises:
        AgentUnreachable: it would take any free port.
    """
    if server.port == 0:
        from agent_core.client.errors import AgentUnreachable

        raise AgentUnreachable(
            "No agent of this configuration is running on this host.",
            reason="not_running",
            suggestion="Start it with `camera-agent run`, or give the address of another by --url.",
        )
    return _url("wss" if server.tls_certificate else "ws", server.host, server.port, "/ws")


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

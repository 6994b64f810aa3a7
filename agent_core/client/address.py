"""Addresses of agents: on the network, or a unix socket of this host."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

__all__ = ("AgentAddress", "unix_url")


@dataclass(frozen=True, slots=True)
class AgentAddress:
    """Address of an agent for both protocols.

    `web_socket` is the URL of the WebSocket; `origin` that of the files, without a path; `shown` is for messages. With
    `socket_path`, both protocols use that unix socket, and the host in the URLs has no meaning.
    """

    web_socket: str
    origin: str
    shown: str
    socket_path: str | None = None

    @classmethod
    def parse(cls, url: str) -> "AgentAddress":
        """Parse `ws://HOST:PORT/ws`, `wss://HOST:PORT/ws` or `unix:///PATH`; an invalid URL fails on connecting."""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            path = unquote(parts.path)
            return cls("ws://localhost/ws", "http://localhost", path, path)
        where = parts.netloc.rpartition("@")[2]
        scheme = "https" if parts.scheme == "wss" else "http"
        return cls(url, f"{scheme}://{where}", where)


def unix_url(path: Path) -> str:
    """Return the URL of the agent at the unix socket `path` (absolute)."""
    return f"unix://{quote(str(path))}"

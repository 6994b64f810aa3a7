"""Where an agent is: an address on the network, or a unix socket of this host."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

__all__ = ("AgentAddress", "unix_url")


@dataclass(frozen=True, slots=True)
class AgentAddress:
    """Address of an agent for both protocols, from any form of `url`.

    `web_socket` is the URL of the WebSocket and `origin` that of the files, without a path. `socket_path` is the unix
    socket that both go through, where there is one; the host in the URLs means nothing then.
    """

    web_socket: str
    origin: str
    shown: str
    socket_path: str | None = None

    @classmethod
    def parse(cls, url: str) -> "AgentAddress":
        """Understand `ws://HOST:PORT/ws`, `wss://HOST:PORT/ws` and `unix:///PATH`; what is wrong shows on connecting."""
        parts = urlsplit(url)
        if parts.scheme == "unix":
            path = unquote(parts.path)
            return cls("ws://localhost/ws", "http://localhost", path, path)
        where = parts.netloc.rpartition("@")[2]
        scheme = "https" if parts.scheme == "wss" else "http"
        return cls(url, f"{scheme}://{where}", where)


def unix_url(path: Path) -> str:
    """Return the URL of the agent that listens on the unix socket `path`, which is absolute."""
    return f"unix://{quote(str(path))}"

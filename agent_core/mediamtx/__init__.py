"""Client side of MediaMTX's API and RTSP: calls, the link to the server, its paths."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_core.mediamtx.client import MediaServerClient
    from agent_core.mediamtx.link import ServerLink
    from agent_core.mediamtx.paths import PathManager

__all__ = ("MediaServerClient", "PathManager", "ServerLink")


def __getattr__(name: str) -> object:
    """Import an exported class at its first use: an agent without a media server never loads the HTTP client."""
    match name:
        case "MediaServerClient":
            module = "client"
        case "PathManager":
            module = "paths"
        case "ServerLink":
            module = "link"
        case _:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)

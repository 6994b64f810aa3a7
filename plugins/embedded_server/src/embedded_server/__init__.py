"""Small media server inside the agent with MediaMTX's API v3."""

from embedded_server.faults import Faults
from embedded_server.plugin import EmbeddedServerPlugin
from embedded_server.server import EmbeddedServer, Endpoints, serving
from embedded_server.settings import EmbeddedServerSettings, User

__all__ = (
    "EmbeddedServer",
    "EmbeddedServerPlugin",
    "EmbeddedServerSettings",
    "Endpoints",
    "Faults",
    "User",
    "serving",
)

"""Plain HTTP on the agent's port: files, health, metrics. `agent_core.web.routes` has the routes and the framework."""

from agent_core.auth.links import DownloadLinks
from agent_core.web.first_request import MadeAtFirstRequest

__all__ = (
    "DownloadLinks",
    "MadeAtFirstRequest",
)

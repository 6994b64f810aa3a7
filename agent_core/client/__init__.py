"""Client of the camera agent for Python programs; `docs/client.md` has examples."""

from agent_core.client.agent import AgentClient
from agent_core.client.downloads import Download
from agent_core.client.errors import (
    AUTHENTICATION_FAILED,
    PERMISSION_DENIED,
    AgentUnreachable,
    CallFailed,
    ClientError,
    ConnectionLost,
    DownloadFailed,
)
from agent_core.client.events import CORE_TOPICS, Event, EventStream
from agent_core.client.protocol import JsonObject

__all__ = (
    "AUTHENTICATION_FAILED",
    "CORE_TOPICS",
    "PERMISSION_DENIED",
    "AgentClient",
    "AgentUnreachable",
    "CallFailed",
    "ClientError",
    "ConnectionLost",
    "Download",
    "DownloadFailed",
    "Event",
    "EventStream",
    "JsonObject",
)

"""Client of the camera agent for Python programs; `docs/client.md` has examples."""

from agent_core.client.agent import AgentClient
from agent_core.client.downloads import Download
from agent_core.client.errors import (
    AUTHENTICATION_FAILED,
    PERMISSION_DENIED,
    AgentUnreachable,
    CallFailed,
    CallInterrupted,
    ClientError,
    ConnectionLost,
    DownloadFailed,
    NotConnected,
    TokenUnavailable,
    UnexpectedResult,
)
from agent_core.client.events import CORE_TOPICS, Event, EventStream
from agent_core.client.login import TokenSource
from agent_core.client.protocol import JsonObject
from agent_core.client.reconnect import Reconnect
from agent_core.client.sync import SyncAgentClient, SyncEventStream

__all__ = (
    "AUTHENTICATION_FAILED",
    "CORE_TOPICS",
    "PERMISSION_DENIED",
    "AgentClient",
    "AgentUnreachable",
    "CallFailed",
    "CallInterrupted",
    "ClientError",
    "ConnectionLost",
    "Download",
    "DownloadFailed",
    "Event",
    "EventStream",
    "JsonObject",
    "NotConnected",
    "Reconnect",
    "SyncAgentClient",
    "SyncEventStream",
    "TokenSource",
    "TokenUnavailable",
    "UnexpectedResult",
)

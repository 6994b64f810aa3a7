"""Live streams: a path for each camera, leased by name, held while anybody has a lease."""

from agent_core.streams.leases import StreamManager
from agent_core.streams.models import StreamState
from agent_core.streams.service import StreamService

__all__ = ("StreamManager", "StreamService", "StreamState")

"""Live streams: one path per camera at the media server, held while it is leased."""

from agent_core.streams.addresses import StreamAddresses
from agent_core.streams.camera_paths import CameraPaths
from agent_core.streams.leases import StreamLeases
from agent_core.streams.models import StreamState
from agent_core.streams.service import StreamService

__all__ = ("CameraPaths", "StreamAddresses", "StreamLeases", "StreamService", "StreamState")

"""Choice of the store for a coding of pictures, apart from the broker, which knows only `FrameStore`."""

from agent_core.base.models import VideoCodec
from agent_core.plugin.frames.groups import Groups
from agent_core.plugin.frames.producer import BrokerSettings
from agent_core.plugin.frames.ring import JpegRing
from agent_core.plugin.frames.store import FrameStore

__all__ = ("store_for",)


def store_for(codec: VideoCodec, settings: BrokerSettings) -> FrameStore:
    """Return an empty store."""
    if codec is VideoCodec.MJPEG:
        return JpegRing(settings.ring_frames)
    return Groups(codec, limit_bytes=settings.groups_bytes)

"""Coded video that the worker can read, and how its pictures are dated.

Apart from `client`, so that the tiers describe what to read without the process that reads it.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent_core.plugin import FrameSocket, LiveStream

if TYPE_CHECKING:  # it is loaded with the first stream
    from agent_core.plugin.rtsp import Credentials

__all__ = ("VideoSource",)


@dataclass(frozen=True, slots=True)
class VideoSource:
    """RTSP stream of the media server, or a camera's frame socket.

    `url` is for the worker; `interval_s` is the nominal time between two pictures, 0 if it is not known.
    """

    url: str
    credentials: "Credentials | None" = field(default=None, repr=False)
    interval_s: float = 0.0

    @classmethod
    def of_stream(cls, stream: LiveStream) -> "VideoSource":
        """Return the stream at its address, which names no user."""
        return cls(stream.url, stream.credentials)

    @classmethod
    def of_socket(cls, socket: FrameSocket) -> "VideoSource":
        """Return the camera's own video, whose pictures tell when they were taken."""
        return cls(f"unix:{socket.path}", interval_s=1 / socket.fps if socket.fps > 0 else 0.0)

"""Streams and recordings as they are where there are none."""

from dataclasses import dataclass, field

from agent_core.base.models import CameraId
from agent_core.mediamtx.schema import RuntimePath

__all__ = ("StaticMedia",)


@dataclass
class StaticMedia:
    """A `MediaView` that a test sets."""

    rtsp_port: int = 8554
    hls_port: int = 8888
    webrtc_port: int = 8889
    served: tuple[str, ...] = ()
    recording: set[CameraId] = field(default_factory=set)

    def is_recording(self, camera: CameraId) -> bool:
        return camera in self.recording

    def viewers(self, path: RuntimePath | None) -> int:
        return len(path.readers) if path else 0

"""Facts about one camera by which a snapshot is planned, gathered from memory without I/O."""

from dataclasses import dataclass
from typing import Protocol

from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    DeviceState,
    FrameSocket,
    MediaInput,
    VideoCodec,
)
from agent_core.mediamtx.link import ServerState
from agent_core.plugin import LiveStream, device_state

__all__ = ("CameraFacts", "FactSource", "StreamFacts")


class StreamFacts(Protocol):
    """Streams and media server as the agent last saw them, without I/O."""

    @property
    def server_state(self) -> ServerState:
        """State of the media server."""
        ...

    def known(self, camera: CameraId) -> LiveStream | None:
        """Return what was last seen of the stream; see `CameraStreams.known`."""
        ...


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """Knowledge about a camera, its device and its stream at one moment. Times are monotonic seconds.

    Attributes:
        connected_s: time when the camera was connected or began to work again; None while it does not work.
        device: state of the device behind the frame broker or the frame socket; None if neither tells.
        frames_are_coded: the camera delivers coded video, so its frames have to be decoded, which takes time and may fail.
        input_is_broker: `media_input` leads to the broker, so that opening it opens the same device.
        live_since_s: time since when the stream is known to be live; None if it is not.
        server: state of the media server.
    """

    connected_s: float | None = None
    device: DeviceState | None = None
    frames_are_coded: bool = False
    input_is_broker: bool = False
    live_since_s: float | None = None
    server: ServerState = ServerState.UP


class FactSource:
    """Gathers the facts about cameras.

    Args:
        streams: the streams as the agent last saw them; None without a media server.
    """

    def __init__(self, streams: StreamFacts | None = None) -> None:
        self._streams = streams

    def about(self, camera: Camera) -> CameraFacts:
        """Return what is known about `camera` now."""
        live = self._streams.known(camera.id) if self._streams else None
        return CameraFacts(
            connected_s=camera.since_s if camera.status is CameraStatus.CONNECTED else None,
            device=device_state(camera.detected),
            frames_are_coded=camera.frames is None and _is_coded(camera.media_input),
            input_is_broker=isinstance(camera.media_input, FrameSocket),
            live_since_s=live.since_s if live else None,
            server=self._streams.server_state if self._streams else ServerState.ABSENT,
        )


def _is_coded(given: MediaInput | None) -> bool:
    return isinstance(given, FrameSocket) and given.codec is not VideoCodec.MJPEG

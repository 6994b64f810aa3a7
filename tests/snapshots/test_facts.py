"""Facts about a camera, gathered from memory."""

from dataclasses import dataclass, replace
from pathlib import Path

from agent_core.base.errors import CaptureFailed
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraStatus,
    DetectedCamera,
    DeviceState,
    FfmpegInput,
    Fingerprint,
    Frame,
    FrameSocket,
    MediaInput,
    VideoCodec,
)
from agent_core.mediamtx.link import ServerState
from agent_core.plugin import LiveStream
from agent_core.snapshots.facts import CameraFacts, FactSource

SOCKET = FrameSocket(Path("/nonexistent"), 64, 48, 15.0)
BUSY = DeviceState(problem=CaptureFailed("Held.", reason="device_busy"), is_refusing=True)


@dataclass
class Streams:
    """Streams of which only that of camera7 is known."""

    known_stream: LiveStream | None
    server_state: ServerState = ServerState.DOWN

    def known(self, camera: CameraId) -> LiveStream | None:
        return self.known_stream if camera == "camera7" else None


@dataclass
class Reader:
    """Frame reader with an attribute `device`, of whatever type."""

    device: object

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> Frame:
        raise NotImplementedError


@dataclass
class Behind:
    """State of the device behind a camera's input."""

    device: DeviceState


def camera(
    *,
    status: CameraStatus = CameraStatus.CONNECTED,
    device: object = None,
    media_input: MediaInput | None = SOCKET,
    behind_input: DeviceState | None = None,
) -> Camera:
    frames = Reader(device) if device else None
    behind = Behind(behind_input) if behind_input else None
    detected = DetectedCamera("k", "Front", Fingerprint("x"), media_input, frames=frames, device=behind)
    return Camera(CameraId("camera7"), status, 12.5, detected)


def test_all_that_is_known_is_gathered() -> None:
    streams = Streams(LiveStream(7.5, "rtsp://127.0.0.1/camera7"))
    assert FactSource(streams).about(camera(device=BUSY)) == CameraFacts(
        connected_s=12.5, device=BUSY, input_is_broker=True, live_since_s=7.5, server=ServerState.DOWN
    )


def test_what_is_not_known_is_left_out() -> None:
    bare = camera(status=CameraStatus.ERROR, media_input=FfmpegInput(("-i", "x")))
    assert FactSource().about(bare) == CameraFacts(server=ServerState.ABSENT)
    assert FactSource(Streams(None)).about(bare) == CameraFacts(server=ServerState.DOWN)
    idle = LiveStream(None, "rtsp://127.0.0.1/camera7")
    assert FactSource(Streams(idle, ServerState.UP)).about(bare) == CameraFacts(server=ServerState.UP)


def test_frames_are_coded_if_the_camera_has_no_ring_and_its_socket_sends_video() -> None:
    video = replace(SOCKET, codec=VideoCodec.H264)
    assert FactSource().about(camera(media_input=video)).frames_are_coded
    assert not FactSource().about(camera(media_input=video, device=BUSY)).frames_are_coded
    assert not FactSource().about(camera(media_input=SOCKET)).frames_are_coded


def test_an_older_reader_with_an_attribute_of_that_name_does_not_tell() -> None:
    assert FactSource().about(camera(device="/dev/video0")).device is None


def test_a_camera_without_a_frame_reader_tells_the_device_behind_its_input() -> None:
    assert FactSource().about(camera(behind_input=BUSY)).device == BUSY
    both = camera(device=DeviceState(is_streaming=True), behind_input=BUSY)
    assert FactSource().about(both).device == DeviceState(is_streaming=True)

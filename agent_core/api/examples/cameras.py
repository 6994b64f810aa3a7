"""Examples of the methods about cameras."""

from typing import TypedDict

from agent_core.api.examples.story import CAMERA, TAKEN_AT
from agent_core.api.schema.cameras import (
    CameraCapabilities,
    CameraForm,
    CameraList,
    CameraMetrics,
    CameraStatusForm,
    FormatsAndSizes,
    ModeForm,
    StreamUrls,
)
from agent_core.api.schema.controls import ControlForm
from agent_core.api.schema.params import DeviceParams, NoParams
from agent_core.base.models import CameraStatus
from agent_core.plugin import MethodExample

__all__ = ("get_camera_capabilities", "get_camera_list", "get_camera_status")


class _Common(TypedDict):
    """Members of a camera that the list and the status have alike."""

    device: str
    name: str
    status: CameraStatus
    resolution: str
    fps: float
    frame_rate: float
    streams: StreamUrls
    stream_url: str
    served: list[str]
    is_recording: bool
    ambiguous: bool
    moved: bool
    problem: str


def _camera() -> _Common:
    rtsp = f"rtsp://127.0.0.1:8554/{CAMERA}"
    return _Common(
        device=CAMERA,
        name="Front door",
        status=CameraStatus.CONNECTED,
        resolution="640x480",
        fps=15.0,
        frame_rate=15.0,
        streams=StreamUrls(
            rtsp=rtsp,
            hls=f"http://127.0.0.1:8888/{CAMERA}/index.m3u8",
            webrtc=f"http://127.0.0.1:8889/{CAMERA}/",
        ),
        stream_url=rtsp,
        served=["rtsp"],
        is_recording=False,
        ambiguous=False,
        moved=False,
        problem="",
    )


def get_camera_list() -> MethodExample:
    cameras = [CameraForm(capabilities=["MJPG"], **_camera())]
    return MethodExample(NoParams(), CameraList(cameras=cameras, total=1, connected=1, timestamp=TAKEN_AT))


def get_camera_status() -> MethodExample:
    status = CameraStatusForm(
        capabilities=FormatsAndSizes(formats=["MJPG"], resolutions=["640x480"]),
        metrics=CameraMetrics(bytes_sent=0, readers=0, uptime=61.5, age_ms=120),
        **_camera(),
    )
    return MethodExample(DeviceParams(device=CAMERA), status)


def get_camera_capabilities() -> MethodExample:
    capabilities = CameraCapabilities(
        device=CAMERA,
        formats=["MJPG"],
        resolutions=["640x480"],
        fps_options=[15],
        modes=[ModeForm(format="MJPG", width=640, height=480, fps=[15.0])],
        controls=[
            ControlForm(
                name="brightness",
                kind="integer",
                minimum=-64,
                maximum=64,
                step=1,
                default=0,
                value=0,
                choices={},
                flags=[],
                settable=True,
            )
        ],
        validation_status="CONFIRMED",
    )
    return MethodExample(DeviceParams(device=CAMERA), capabilities)

"""Methods about cameras, and the wire form of cameras."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from agent_core.api.controls import control_form
from agent_core.api.examples import cameras as examples
from agent_core.api.schema.cameras import (
    CameraCapabilities,
    CameraEventForm,
    CameraForm,
    CameraList,
    CameraMetrics,
    CameraStatusForm,
    FormatsAndSizes,
    ModeForm,
    StreamUrls,
)
from agent_core.api.schema.params import DeviceParams, NoParams
from agent_core.auth.roles import Role
from agent_core.base.controls import ControlValue
from agent_core.base.errors import NotFound
from agent_core.base.events import Stamp
from agent_core.base.models import Camera, CameraEvent, CameraStatus
from agent_core.base.moments import rfc3339
from agent_core.controller import CameraDetails, CameraView, Controller
from agent_core.rpc.table import Caller, Method, SerializedResult

__all__ = ("CameraListText", "camera_event_form", "camera_form", "camera_methods")


def camera_form(view: CameraView) -> CameraForm:
    """Return the wire form of a camera."""
    camera, media = view.camera, view.media
    size, fps = camera.detected.resolution, camera.detected.fps or 0.0
    return CameraForm(
        device=camera.id,
        name=camera.name,
        status=camera.status,
        resolution=f"{size[0]}x{size[1]}" if size else "",
        fps=fps,
        frame_rate=fps,
        capabilities=_formats(camera),
        streams=StreamUrls(
            rtsp=media.rtsp_url(camera.id), hls=media.hls_url(camera.id), webrtc=media.webrtc_url(camera.id)
        ),
        stream_url=media.rtsp_url(camera.id),
        served=list(view.served),
        is_recording=view.is_recording,
        ambiguous=camera.ambiguous,
        moved=camera.moved,
        problem=camera.problem,
    )


def _status_form(details: CameraDetails) -> CameraStatusForm:
    camera, traffic = details.view.camera, details.traffic
    listed = camera_form(details.view).model_dump()
    listed["capabilities"] = FormatsAndSizes(
        formats=_formats(camera),
        resolutions=_resolutions(camera),
        tracks=list(details.view.tracks) or None,
    )
    metrics = CameraMetrics(
        bytes_sent=traffic.sent_bytes,
        readers=traffic.viewers,
        uptime=round(details.uptime_s, 3),
        age_ms=None if traffic.age_s is None else round(traffic.age_s * 1000),
    )
    return CameraStatusForm(**listed, metrics=metrics)


def _capabilities(view: CameraView, kept: Mapping[str, ControlValue]) -> CameraCapabilities:
    camera = view.camera
    modes = camera.detected.modes
    validation = "NONE" if not modes else "CONFIRMED"
    if camera.status is CameraStatus.DISCONNECTED:
        validation = "DISCONNECTED"
    return CameraCapabilities(
        device=camera.id,
        formats=_formats(camera),
        resolutions=_resolutions(camera),
        fps_options=sorted({round(fps) for mode in modes for fps in mode.fps}),
        modes=[
            ModeForm(format=mode.format, width=mode.width, height=mode.height, fps=list(mode.fps))
            for mode in modes
        ],
        controls=[control_form(control, kept.get(control.name)) for control in camera.detected.controls],
        validation_status=validation,
        tracks=list(view.tracks) or None,
    )


def _formats(camera: Camera) -> list[str]:
    return _unique(mode.format for mode in camera.detected.modes)


def _resolutions(camera: Camera) -> list[str]:
    return _unique(f"{mode.width}x{mode.height}" for mode in camera.detected.modes)


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def camera_event_form(controller: Controller, event: CameraEvent, stamp: Stamp) -> CameraEventForm:
    """Return the parameters of a notification about a camera."""
    camera = camera_form(controller.view_of(event.camera)).model_dump()
    return CameraEventForm(**camera, timestamp=stamp.at, sequence=stamp.sequence)


class CameraListText:
    """Cached JSON of `get_camera_list`, which clients call often and which rarely changes.

    It is validated and serialized again only when a camera changes; otherwise only the timestamp is replaced.
    """

    def __init__(self) -> None:
        self._basis: Sequence[CameraView] | None = None
        self._start = ""

    def at(self, now: datetime, cameras: Sequence[CameraView]) -> SerializedResult[CameraList]:
        """Return the list of `cameras` with the timestamp `now`."""
        if cameras != self._basis:
            self._start = _without_time(now, cameras).removesuffix("}")
            self._basis = cameras
        return SerializedResult(CameraList, f'{self._start},"timestamp":"{rfc3339(now)}"}}')


def _without_time(now: datetime, cameras: Sequence[CameraView]) -> str:
    listed = CameraList(
        cameras=[camera_form(each) for each in cameras],
        total=len(cameras),
        connected=sum(each.camera.status is CameraStatus.CONNECTED for each in cameras),
        timestamp=now,
    )
    return listed.model_dump_json(by_alias=True, exclude_none=True, exclude={"timestamp"}, warnings="error")


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about cameras."""

    controller: Controller
    list_text: CameraListText

    async def get_camera_list(self, params: NoParams, caller: Caller) -> SerializedResult[CameraList]:
        return self.list_text.at(self.controller.now(), self.controller.cameras())

    async def get_camera_status(self, params: DeviceParams, caller: Caller) -> CameraStatusForm:
        return _status_form(await self.controller.camera_details(params.device))

    async def get_camera_capabilities(self, params: DeviceParams, caller: Caller) -> CameraCapabilities:
        kept = self.controller.kept_controls(params.device)
        return _capabilities(self.controller.camera(params.device), kept)


def camera_methods(controller: Controller) -> list[Method]:
    """Return the rows of the method table."""
    do = _Handlers(controller, CameraListText())
    return [
        Method(
            "get_camera_list",
            Role.VIEWER,
            "List all cameras, including disconnected ones.",
            NoParams,
            CameraList,
            do.get_camera_list,
            prompt=True,
            example=examples.get_camera_list,
        ),
        Method(
            "get_camera_status",
            Role.VIEWER,
            "Return one camera with its metrics.",
            DeviceParams,
            CameraStatusForm,
            do.get_camera_status,
            errors=(NotFound,),
            example=examples.get_camera_status,
        ),
        Method(
            "get_camera_capabilities",
            Role.VIEWER,
            "Return the formats, modes and controls of a camera.",
            DeviceParams,
            CameraCapabilities,
            do.get_camera_capabilities,
            errors=(NotFound,),
            prompt=True,
            example=examples.get_camera_capabilities,
        ),
    ]

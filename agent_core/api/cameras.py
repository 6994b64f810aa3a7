"""The result of `get_camera_list`, which clients ask for often and which seldom changes."""

from collections.abc import Sequence
from datetime import datetime

from agent_core.api.schema.cameras import CameraList
from agent_core.api.schema.params import rfc3339
from agent_core.api.views import Forms
from agent_core.base.models import Camera, CameraStatus
from agent_core.rpc.table import Prepared

__all__ = ("CameraListText",)


class CameraListText:
    """Validated and serialised again only when a camera is shown differently; in between only the time is new."""

    def __init__(self, forms: Forms) -> None:
        self._forms = forms
        self._basis: object = None
        self._start = ""

    def at(self, now: datetime, cameras: Sequence[Camera]) -> Prepared[CameraList]:
        basis = self._forms.cameras_basis(cameras)
        if basis != self._basis:
            self._start = self._without_time(now, cameras).removesuffix("}")
            self._basis = basis
        return Prepared(CameraList, f'{self._start},"timestamp":"{rfc3339(now)}"}}')

    def _without_time(self, now: datetime, cameras: Sequence[Camera]) -> str:
        listed = CameraList(
            cameras=[self._forms.camera(camera) for camera in cameras],
            total=len(cameras),
            connected=sum(camera.status is CameraStatus.CONNECTED for camera in cameras),
            timestamp=now,
        )
        return listed.model_dump_json(
            by_alias=True, exclude_none=True, exclude={"timestamp"}, warnings="error"
        )

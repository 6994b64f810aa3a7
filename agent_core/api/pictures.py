"""Method about pictures that are not stored, and their wire form.

A module of its own, as pictures are no snapshots: they have no name, no file and no link.
"""

from base64 import b64encode
from dataclasses import dataclass

from agent_core.api.examples import snapshots as examples
from agent_core.api.schema.pictures import GetPictureParams, PictureForm
from agent_core.auth.roles import Role
from agent_core.base.errors import DependencyFailed, InvalidParams, NotFound
from agent_core.base.models import CameraId, Picture, PictureFormat
from agent_core.controller import Controller
from agent_core.rpc.table import Caller, Method, SerializedResult
from agent_core.snapshots.models import SnapshotRequest, TakenPicture

__all__ = ("picture_methods",)

#: Part of the width that fits if bytes shrink with the width, which is proposed. They shrink less than the pixels do: small
#: pictures have more detail per pixel, and the agent's encoding may be finer than the camera's.
_MARGIN = 0.9
#: Base64 may contain it, and the filter for device paths would replace it.
_SLASH_DEV = "/dev/"


def picture_methods(controller: Controller) -> list[Method]:
    """Return the row of the method table."""
    return [
        Method(
            "get_picture",
            Role.VIEWER,
            "Take a picture and return it, without storing it.",
            GetPictureParams,
            PictureForm,
            _Handlers(controller).get_picture,
            errors=(NotFound, DependencyFailed),
            example=examples.get_picture,
        )
    ]


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Method about pictures."""

    controller: Controller

    async def get_picture(self, params: GetPictureParams, caller: Caller) -> SerializedResult[PictureForm]:
        request = SnapshotRequest(
            format=params.format,
            quality=params.quality,
            width=params.width,
            height=params.height,
            max_age_ms=params.max_age_ms,
            deadline_ms=params.deadline_ms,
            user=caller.user.user_id,
        )
        taken = await self.controller.take_picture(params.device, request)
        _require_fit(taken.picture, params.max_bytes)
        return _serialized(CameraId(params.device), taken)


def _serialized(camera: CameraId, taken: TakenPicture) -> SerializedResult[PictureForm]:
    """Return the wire form as JSON, in which the filter for device paths finds none in the picture's data."""
    picture = taken.picture
    form = PictureForm(
        device=camera,
        content_type=picture.format.media_type,
        width=picture.width,
        height=picture.height,
        size_bytes=len(picture.data),
        timestamp=taken.taken_at,
        captured_at=taken.captured_at,
        captured_at_source=picture.captured_at_source,
        age_ms=round(taken.age_s * 1000),
        settled=picture.settled,
        tier_used=taken.tier_rank,
        tier_name=taken.tier_name,
        data=b64encode(picture.data).decode(),
    )
    text = form.model_dump_json()
    if _SLASH_DEV in form.data:
        text = text.replace(form.data, form.data.replace("/", r"\/"))
    return SerializedResult(PictureForm, text)


def _require_fit(picture: Picture, max_bytes: int) -> None:
    """Raise InvalidParams for a picture larger than `max_bytes`, with a width at which it would fit."""
    size_bytes = len(picture.data)
    if size_bytes <= max_bytes:
        return
    width = max(1, int(picture.width * _MARGIN * max_bytes / size_bytes))
    format_hint = " or the format jpg" if picture.format is PictureFormat.PNG else ""
    raise InvalidParams(
        f"The picture of {picture.width}x{picture.height} pixels has {size_bytes} bytes; the limit is {max_bytes}.",
        param="max_bytes",
        rule="picture_too_large",
        hint=f"width={width}",
        suggestion=f"Ask for width={width}{format_hint}, or get it from /cameras/ID/snapshot.jpg.",
    )

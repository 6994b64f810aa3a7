"""Parameters of views, from the query of a request."""

from typing import TypeVar

from pydantic import Field
from starlette.requests import Request

from agent_core.base.errors import InvalidParams, NotFound
from agent_core.base.models import CAMERA_ID, CameraId, PictureFormat
from agent_core.plugin import RpcParams
from agent_core.rpc.params import Parameters
from agent_core.web.views.access import LINK_PARAM

__all__ = ("LiveParams", "NoParams", "PictureParams", "camera_of", "params_of")

P = TypeVar("P", bound=RpcParams)

_MOST_PIXELS = 8192
_SUGGESTION = "Correct this parameter of the address, or leave it out."
#: Fewest digits of a number against caches: the seconds since 1970, their milliseconds and random fractions have more.
_FRESH_DIGITS = 9


class NoParams(RpcParams):
    """No parameters."""


class PictureParams(RpcParams):
    """Parameters of `snapshot.jpg`, as those of `take_snapshot`."""

    max_age_ms: int | None = Field(None, ge=0, le=3_600_000)
    width: int | None = Field(None, ge=1, le=_MOST_PIXELS)
    quality: int | None = Field(None, ge=1, le=100)
    format: PictureFormat = PictureFormat.JPG


class LiveParams(RpcParams):
    """Parameters of `live.mjpeg`; `fps` is the largest rate in pictures per second."""

    fps: float | None = Field(None, gt=0, le=1000)
    width: int | None = Field(None, ge=16, le=_MOST_PIXELS)


def params_of(request: Request, model: type[P]) -> P:
    """Return the parameters of the request's query.

    Pages add a new number to an address so that no cache answers, by any name or, as OctoPrint does, by none. It is ignored.

    Raises:
        InvalidParams: one is unknown, given twice, or has a wrong value.
    """
    given: dict[str, object] = {}
    for name, value in request.query_params.multi_items():
        if name not in model.model_fields and _is_against_caches(value or name):
            continue
        if name in given:
            raise InvalidParams(
                f"{name[:100]!r} is given twice.", param=name[:100], rule="once", suggestion=_SUGGESTION
            )
        if name != LINK_PARAM:
            given[name] = _number_or_word(value)
    try:
        return Parameters(model).validate(given)
    except InvalidParams as error:
        error.suggestion = _SUGGESTION  # the method's own one tells of JSON-RPC
        raise


def _is_against_caches(text: str) -> bool:
    digits = text.replace(".", "", 1)
    return len(digits) >= _FRESH_DIGITS and digits.isascii() and digits.isdigit()


def _number_or_word(text: str) -> int | float | str:
    """Return the number that `text` is, or else `text`, which a parameter for numbers refuses."""
    if len(text) > 20 or not text.isascii():
        return text
    if text.isdigit():
        return int(text)
    whole, dot, fraction = text.partition(".")
    return float(text) if dot and whole.isdigit() and fraction.isdigit() else text


def camera_of(request: Request) -> CameraId:
    """Return the camera's id in the request's path. Raises NotFound for a name that no camera can have."""
    device: str = request.path_params["device"]
    if not CAMERA_ID.fullmatch(device):
        raise NotFound(
            f"There is no camera {device[:100]!r}.",
            resource="camera",
            id=device[:100],
            suggestion="Use the id of a camera, such as camera0; get_camera_list lists them.",
        )
    return CameraId(device)

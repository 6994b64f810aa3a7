"""Check of the pictures that tiers return: foreign code may return anything."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from agent_core.base.errors import CaptureFailed
from agent_core.base.field_rules import Rule, first_breach, is_number, is_size, kind_of, optional
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat, Settlement
from agent_core.plugin import jpeg

__all__ = ("checked_picture",)

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PICTURE: Mapping[str, Rule] = MappingProxyType(
    {
        "data": ("bytes", lambda value: isinstance(value, bytes) and bool(value)),
        "format": ("a PictureFormat", lambda value: isinstance(value, PictureFormat)),
        "width": ("a number of pixels", is_size),
        "height": ("a number of pixels", is_size),
        "captured_s": ("a finite number of seconds", is_number),
        "captured_at_source": ("a CapturedAtSource", lambda value: isinstance(value, CapturedAtSource)),
        "settled": ("a bool", lambda value: isinstance(value, bool)),
        "settlement": ("a Settlement or None", optional(lambda value: isinstance(value, Settlement))),
    }
)


def checked_picture(tier: str, value: object) -> Picture:
    """Return `value`, the result of the tier named `tier`, if it is a usable picture; repair a JPEG as decoders do.

    Raises:
        CaptureFailed: it is not a usable `Picture`; the details name the tier and the fault.
    """
    if not isinstance(value, Picture):
        fault = f"returned {kind_of(value)} instead of a Picture"
    elif breach := first_breach(value, _PICTURE):
        fault = f"returned a Picture {breach}"
    elif (whole := _whole(value)) is None:
        fault = f"returned a Picture whose data are not a complete {value.format.value.upper()} file"
    else:
        return whole
    raise CaptureFailed(
        f"The tier {tier} failed: it {fault}.", reason="tier_error", suggestion="Tell the plugin's author."
    )


def _whole(picture: Picture) -> Picture | None:
    """Return the picture with its data well-formed, or None if it is not whole."""
    if picture.format is not PictureFormat.JPG:
        return picture if picture.data.startswith(_PNG_SIGNATURE) else None
    try:
        mended = jpeg.mend(picture.data)
    except jpeg.JpegError:
        return None
    return picture if mended.data is picture.data else replace(picture, data=mended.data)

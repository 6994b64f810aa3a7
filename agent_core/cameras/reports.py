"""Checks of the reports of camera sources: foreign code may report anything."""

from collections.abc import Mapping
from types import MappingProxyType

from agent_core.base.errors import PluginError
from agent_core.base.field_rules import (
    Rule,
    first_breach,
    is_number,
    is_size,
    is_text,
    is_whole,
    kind_of,
    optional,
    tuple_of,
)
from agent_core.base.models import (
    CameraMode,
    Control,
    DetectedCamera,
    FfmpegInput,
    Fingerprint,
    FrameSocket,
    Url,
)

__all__ = ("checked_camera", "checked_reason")


def _is_resolution(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_size, value))


def _is_input(value: object) -> bool:
    return isinstance(value, FrameSocket | Url) or (
        isinstance(value, FfmpegInput) and tuple_of(str)(value.args)
    )


_CAMERA: Mapping[str, Rule] = MappingProxyType(
    {
        "key": ("a text", is_text),
        "name": ("a text", is_text),
        "fingerprint": ("a Fingerprint", lambda value: isinstance(value, Fingerprint)),
        "media_input": ("a media input or None", optional(_is_input)),
        "modes": ("a tuple of CameraMode", tuple_of(CameraMode)),
        "controls": ("a tuple of Control", tuple_of(Control)),
        "resolution": ("two numbers of pixels or None", optional(_is_resolution)),
        "fps": ("a number or None", optional(is_number)),
        "number_hint": ("a whole number or None", optional(is_whole)),
        "configured_id": ("a camera's id or None", optional(is_text)),
    }
)
_FINGERPRINT: Mapping[str, Rule] = MappingProxyType(
    {name: ("a text or None", optional(is_text)) for name in ("serial", "port", "descriptor")}
)


def checked_camera(source: str, value: object) -> DetectedCamera:
    """Return `value`, reported by the source named `source`, if it is a usable camera.

    Raises:
        PluginError: it is not a usable `DetectedCamera`; raised to the source, which fails unless it catches it.
    """
    if not isinstance(value, DetectedCamera):
        fault = f"{kind_of(value)} instead of a DetectedCamera"
    elif breach := first_breach(value, _CAMERA):
        fault = f"a DetectedCamera {breach}"
    elif breach := first_breach(value.fingerprint, _FINGERPRINT):
        fault = f"a Fingerprint {breach}"
    else:
        return value
    raise PluginError(f"The camera source {source} reported {fault}.", reason="wrong_report")


def checked_reason(source: str, value: object) -> str:
    """Return `value`, the reason that a source gave for a camera that is disconnected or fails.

    Raises:
        PluginError: it is not a text.
    """
    if isinstance(value, str):
        return value
    raise PluginError(
        f"The camera source {source} gave {kind_of(value)} as the reason instead of a text.",
        reason="wrong_report",
    )

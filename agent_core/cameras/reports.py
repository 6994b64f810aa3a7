"""Checks of the reports of camera sources: foreign code may report anything."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from agent_core.base.controls import (
    ChangedControls,
    Control,
    ControlFlag,
    ControlOutcome,
    ControlStatus,
)
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
    DetectedCamera,
    FfmpegInput,
    Fingerprint,
    FrameSocket,
    Url,
    VideoCodec,
)

__all__ = ("checked_camera", "checked_controls", "checked_reason")


def _is_resolution(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(is_size, value))


def _is_input(value: object) -> bool:
    match value:
        case FrameSocket(codec=codec):
            return isinstance(codec, VideoCodec)
        case FfmpegInput(args=args):
            return tuple_of(str)(args)
        case _:
            return isinstance(value, Url)


def _are_jpegs(value: object) -> bool:
    """Return False for a broker of coded video, whose frames would be taken for JPEGs."""
    return getattr(value, "codec", VideoCodec.MJPEG) is VideoCodec.MJPEG


def _is_panel(value: object) -> bool:
    return all(callable(getattr(value, name, None)) for name in ("keep", "change"))


def _is_value(value: object) -> bool:
    return isinstance(value, bool | str | int) or is_number(value)


def _are_choices(value: object) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(each, tuple) and len(each) == 2 and is_whole(each[0]) and isinstance(each[1], str)
        for each in value
    )


_CONTROL: Mapping[str, Rule] = MappingProxyType(
    {
        **dict.fromkeys(("name", "kind"), ("a text", is_text)),
        **dict.fromkeys(("minimum", "maximum", "step", "default", "value"), ("a whole number", is_whole)),
        "choices": ("a tuple of numbers with labels", _are_choices),
        "flags": (
            "a frozenset of ControlFlag",
            lambda value: isinstance(value, frozenset) and value <= set(ControlFlag),
        ),
        "unsettable": ("a text", lambda value: isinstance(value, str)),
    }
)
_OUTCOME: Mapping[str, Rule] = MappingProxyType(
    {
        "name": ("a text", is_text),
        "requested": ("a number, a boolean or a text", _is_value),
        "status": ("a ControlStatus", lambda value: isinstance(value, ControlStatus)),
        "value": ("a number, a boolean, a text or None", optional(_is_value)),
        **{name: ("a text", lambda value: isinstance(value, str)) for name in ("reason", "asked")},
        "is_kept": ("a boolean", lambda value: isinstance(value, bool)),
    }
)
_CHANGED: Mapping[str, Rule] = MappingProxyType(
    {
        "outcomes": ("a tuple of ControlOutcome", tuple_of(ControlOutcome)),
        "controls": ("a tuple of Control", tuple_of(Control)),
    }
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
        "frames": ("a reader of JPEGs or None", _are_jpegs),
        "panel": ("a ControlPanel or None", optional(_is_panel)),
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
    elif breach := _first_breach_of(value.controls, _CONTROL):
        fault = f"a Control {breach}"
    else:
        return value
    raise PluginError(f"The camera source {source} reported {fault}.", reason="wrong_report")


def checked_controls(source: str, value: object) -> ChangedControls:
    """Return `value`, which the source or its panel tells about a camera's controls, if it is usable.

    Raises:
        PluginError: it is not a usable `ChangedControls`.
    """
    if not isinstance(value, ChangedControls):
        fault = f"{kind_of(value)} instead of ChangedControls"
    elif breach := first_breach(value, _CHANGED):
        fault = f"a ChangedControls {breach}"
    elif breach := _first_breach_of(value.outcomes, _OUTCOME):
        fault = f"a ControlOutcome {breach}"
    elif breach := _first_breach_of(value.controls, _CONTROL):
        fault = f"a Control {breach}"
    else:
        return value
    raise PluginError(f"The camera source {source} reported {fault}.", reason="wrong_report")


def _first_breach_of(values: Iterable[object], rules: Mapping[str, Rule]) -> str:
    return next((breach for each in values if (breach := first_breach(each, rules))), "")


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

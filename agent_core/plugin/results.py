"""Checks of what providers return, made where the core takes it over: foreign code may return anything."""

import math
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from agent_core.base.errors import CaptureFailed, PluginError
from agent_core.base.models import (
    CameraMode,
    CapturedAtSource,
    Control,
    DetectedCamera,
    FfmpegInput,
    Fingerprint,
    FrameSocket,
    Picture,
    PictureFormat,
    Url,
)
from agent_core.plugin import jpeg
from agent_core.plugin.abc import MediaServerEndpoints, Publisher

__all__ = ("checked_camera", "checked_payload", "checked_picture", "checked_publisher", "checked_reason")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_Rule = tuple[str, Callable[[Any], bool]]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_size(value: object) -> bool:
    return _is_whole(value) and value > 0  # type: ignore[operator] # a whole number


def _is_resolution(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_size, value))


def _optional(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


def _each(kind: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(isinstance(each, kind) for each in value)


def _is_input(value: object) -> bool:
    return isinstance(value, FrameSocket | Url) or (isinstance(value, FfmpegInput) and _each(str)(value.args))


_PICTURE: Mapping[str, _Rule] = MappingProxyType(
    {
        "data": ("bytes", lambda value: isinstance(value, bytes) and bool(value)),
        "format": ("a PictureFormat", lambda value: isinstance(value, PictureFormat)),
        "width": ("a number of pixels", _is_size),
        "height": ("a number of pixels", _is_size),
        "captured_s": ("a finite number of seconds", _is_number),
        "captured_at_source": ("a CapturedAtSource", lambda value: isinstance(value, CapturedAtSource)),
        "settled": ("a bool", lambda value: isinstance(value, bool)),
    }
)
_CAMERA: Mapping[str, _Rule] = MappingProxyType(
    {
        "key": ("a text", _is_text),
        "name": ("a text", _is_text),
        "fingerprint": ("a Fingerprint", lambda value: isinstance(value, Fingerprint)),
        "media_input": ("a media input or None", _optional(_is_input)),
        "modes": ("a tuple of CameraMode", _each(CameraMode)),
        "controls": ("a tuple of Control", _each(Control)),
        "resolution": ("two numbers of pixels or None", _optional(_is_resolution)),
        "fps": ("a number or None", _optional(_is_number)),
        "number_hint": ("a whole number or None", _optional(_is_whole)),
        "configured_id": ("a camera's id or None", _optional(_is_text)),
    }
)
_FINGERPRINT: Mapping[str, _Rule] = MappingProxyType(
    {name: ("a text or None", _optional(_is_text)) for name in ("serial", "port", "descriptor")}
)
_PUBLISHER: Mapping[str, _Rule] = MappingProxyType(
    {
        "argv": ("a tuple of words", lambda value: bool(value) and _each(str)(value)),
        "redacted": ("a text", lambda value: isinstance(value, str)),
        "reports_progress": ("a bool", lambda value: isinstance(value, bool)),
    }
)


def _broken(value: object, rules: Mapping[str, _Rule]) -> str:
    """Return the first broken rule as the end of a sentence; empty where the value keeps them all."""
    for name, (expected, is_kept) in rules.items():
        if not is_kept(getattr(value, name)):
            return f"whose {name} is not {expected}"
    return ""


def checked_picture(tier: str, value: object) -> Picture:
    """Return `value`, which the tier named `tier` returned.

    Raises:
        CaptureFailed: it is not a usable `Picture`; the details name the tier and the fault.
    """
    if not isinstance(value, Picture):
        fault = f"returned {_kind(value)} instead of a Picture"
    elif broken := _broken(value, _PICTURE):
        fault = f"returned a Picture {broken}"
    elif not _has_its_format(value):
        fault = f"returned a Picture whose data are not a whole {value.format.value.upper()} file"
    else:
        return value
    raise CaptureFailed(
        f"The tier {tier} failed: it {fault}.", reason="tier_error", suggestion="Tell the plugin's author."
    )


def _has_its_format(picture: Picture) -> bool:
    if picture.format is not PictureFormat.JPG:
        return picture.data.startswith(_PNG_SIGNATURE)
    try:
        jpeg.inspect(picture.data)
    except jpeg.JpegError:
        return False
    return True


def checked_camera(source: str, value: object) -> DetectedCamera:
    """Return `value`, which the source named `source` reported.

    Raises:
        PluginError: it is not a usable `DetectedCamera`; raised to the source, which fails unless it catches it.
    """
    if not isinstance(value, DetectedCamera):
        fault = f"{_kind(value)} instead of a DetectedCamera"
    elif broken := _broken(value, _CAMERA):
        fault = f"a DetectedCamera {broken}"
    elif broken := _broken(value.fingerprint, _FINGERPRINT):
        fault = f"a Fingerprint {broken}"
    else:
        return value
    raise PluginError(f"The camera source {source} reported {fault}.", reason="wrong_report")


def checked_reason(source: str, value: object) -> str:
    """Return `value`, the reason that the source gave for a camera that is gone or does not work.

    Raises:
        PluginError: it is not a text.
    """
    if isinstance(value, str):
        return value
    raise PluginError(
        f"The camera source {source} gave {_kind(value)} instead of a sentence as reason.",
        reason="wrong_report",
    )


def checked_publisher(plugin: str, value: object) -> Publisher:
    """Return `value`, which the hook `agent_publisher` of `plugin` returned.

    Raises:
        PluginError: it is not a usable `Publisher`.
    """
    broken = _broken(value, _PUBLISHER) if isinstance(value, Publisher) else ""
    if isinstance(value, Publisher) and not broken:
        return value
    fault = f"a Publisher {broken}" if broken else f"{_kind(value)} instead of a Publisher"
    raise PluginError(
        f"The hook agent_publisher of the plugin '{plugin}' returned {fault}.", reason="wrong_provider"
    )


def checked_endpoints(value: MediaServerEndpoints) -> MediaServerEndpoints:
    """Return `value`, which `wait_endpoints` of a media server returned.

    Raises:
        PluginError: it has no addresses that can be used.
    """
    for name in ("api_url", "rtsp_url"):
        url: object = getattr(value, name, None)
        if not (isinstance(url, str) and "://" in url):
            raise PluginError(
                f"The media server's wait_endpoints() returned {_kind(value)}, whose {name} is no address.",
                reason="wrong_endpoints",
            )
    from agent_core.plugin.rtsp import Credentials  # here: an agent without a media server never needs it

    credentials: object = getattr(value, "credentials", None)
    if credentials is not None and not isinstance(credentials, Credentials):
        raise PluginError(
            f"The media server's wait_endpoints() returned {_kind(value)}, whose credentials are none.",
            reason="wrong_endpoints",
        )
    return value


def checked_payload(topic: str, value: object) -> object:
    """Return `value`, an event's payload: an instance of a dataclass, a mapping or a pydantic model.

    Raises:
        PluginError: it is anything else, of which clients would see nothing.
    """
    is_record = is_dataclass(value) and not isinstance(value, type)
    if is_record or isinstance(value, Mapping | BaseModel):
        return value
    raise PluginError(
        f"The payload of {topic} is {_kind(value)}, which has no fields.",
        reason="wrong_payload",
        suggestion="Publish a frozen dataclass, a mapping or a pydantic model.",
    )


def _kind(value: object) -> str:
    """Name the type; a class is worth saying so."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__

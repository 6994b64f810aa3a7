"""Settings in `[plugins.v4l2_tier]`."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent_core.plugin import Settings
from agent_core.plugin.matching import each_matched_once
from v4l2_tier.device.raw_formats import RAW_FORMATS
from v4l2_tier.device.standards import STANDARDS

__all__ = ("SOURCE", "CaptureSettings", "DeepLevels", "HotplugKind", "JpegCheck", "V4l2TierSettings")

#: Name of the plugin, of its source and of the source in fingerprints.
SOURCE = "v4l2_tier"

HotplugKind = Literal["auto", "udev", "kernel", "inotify", "poll"]
JpegCheck = Literal["ends", "all", "off"]
#: Black and white of samples with more than 8 bits.
DeepLevels = Literal["full", "auto"] | tuple[int, int]


def _two_levels(levels: DeepLevels) -> DeepLevels:
    if not isinstance(levels, str) and (
        levels[0] == levels[1] or not all(0 <= each < 2**16 for each in levels)
    ):
        raise ValueError("give two different values from 0 to 65535, of black and of white")
    return levels


def _a_code(text: str) -> str:
    if text not in RAW_FORMATS and not re.fullmatch("[A-Z0-9 ]{3,4}(-BE)?", text):
        raise ValueError(
            f"{text!r} is not a four-character code; use one that v4l2-ctl prints, such as MJPG or YUYV"
        )
    return text


def _a_standard(text: str) -> str:
    found = next((name for name in STANDARDS if name.casefold() == text.casefold()), None)
    if found is None:
        raise ValueError(f"{text!r} is not a television standard; use one of {', '.join(STANDARDS)}")
    return found


class CaptureSettings(Settings):
    """Settings for capturing from one camera."""

    pixel_format: Annotated[str, AfterValidator(_a_code)] | None = Field(
        None,
        description="four-character code; default: the one with the size and rate, MJPG before raw formats;"
        " H264 and HEVC only if there is nothing else",
    )
    width: int | None = Field(None, ge=16, le=16384, description="pixels; the camera's nearest size is used")
    height: int | None = Field(None, ge=16, le=16384, description="pixels")
    fps: float | None = Field(None, ge=0.01, le=1000, description="frames per second; default: up to 30")
    input: Annotated[int, Field(ge=0, le=255)] | Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="video input, by the number or name that `v4l2-ctl --list-inputs` prints; default: the selected one",
    )
    standard: Annotated[str, AfterValidator(_a_standard)] | None = Field(
        None,
        description="standard of an analog source, such as PAL, NTSC or PAL-60; default: the detected one, else the present one",
    )
    check_signal: bool = Field(
        default=True,
        description="false: take the pictures of an analog or HDMI input also while the driver reports no signal",
    )
    deinterlace: bool = Field(
        default=True, description="false: leave the two fields of interlaced raw pictures as they are"
    )
    controls: dict[str, int | bool | str] = Field(
        default_factory=dict,
        description="image controls by the names that `v4l2-ctl -L` prints; menu entries by number or label",
    )
    jpeg_quality: int = Field(
        85, ge=1, le=100, description="JPEG quality of raw frames, which the agent encodes"
    )
    deep_levels: Annotated[DeepLevels, AfterValidator(_two_levels)] = Field(
        "full",
        description="black and white of grey and Bayer formats with more than 8 bits: full: the format's range;"
        " auto: each picture's own; or two values, such as [7000, 9000] for a thermal camera",
    )
    jpeg_check: JpegCheck = Field(
        "ends",
        description="JPEGs of the camera that are decoded to drop those that are cut short: ends: those without an end"
        " marker; all; off: none, and those without an end marker are used as they are",
    )
    buffers: int = Field(4, ge=2, le=32, description="number of frame buffers shared with the driver")
    settle_s: float | None = Field(
        None,
        ge=0,
        le=10,
        description="seconds for the exposure to settle after a start; snapshots wait, streams do not;"
        " default: until the brightness is steady, at most 3 s (6 s below 5 frames per second), 2 s for H264 and HEVC;"
        " 0: no wait",
    )
    warm_ttl_s: float = Field(10.0, ge=0, le=3600, description="seconds to keep streaming after the last use")
    parked_ttl_s: float = Field(
        60.0, ge=0, le=86400, description="seconds to stay open afterwards, without streaming"
    )


class CameraSettings(CaptureSettings):
    """Settings of the cameras that match; only the first matching table applies."""

    match: str = Field(
        min_length=1, description="serial number, port, or name of the camera; `*` and `?` as in file names"
    )
    id: str | None = Field(
        None, pattern=r"^camera(0|[1-9][0-9]{0,8})$", description="public id; default: assigned by the agent"
    )
    enabled: bool = Field(default=True, description="false: do not use this camera")


class V4l2TierSettings(Settings):
    """Settings of the plugin; the README prints the description of each field."""

    defaults: CaptureSettings = Field(
        default_factory=CaptureSettings,
        description="settings of cameras without a matching table in `cameras`",
    )
    cameras: Annotated[tuple[CameraSettings, ...], AfterValidator(each_matched_once)] = Field(
        (), description="settings of individual cameras, see below"
    )
    join_nodes: bool = Field(
        default=True,
        description="false: a node with nothing but H.264 or H.265 is a camera of its own also if another node of the same"
        " USB device has its pictures",
    )
    hotplug: HotplugKind = Field(
        "auto", description="method of detecting plugged and removed devices; auto uses the first that works"
    )
    settle_s: float = Field(
        0.3, ge=0, le=10, description="seconds for which a device must be unchanged before it is used"
    )
    reconcile_s: float = Field(
        30.0, ge=2, le=3600, description="seconds between scans of all devices, in case an event was lost"
    )

"""What `[plugins.v4l2_tier]` may say."""

import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from agent_core.plugin import Settings

__all__ = ("SOURCE", "CaptureSettings", "HotplugKind", "V4l2TierSettings")

#: The name of the source, of its fingerprints, and of the plugin.
SOURCE = "v4l2_tier"

HotplugKind = Literal["auto", "udev", "kernel", "inotify", "poll"]


def _a_code(text: str) -> str:
    if not re.fullmatch("[A-Z0-9 ]{4}", text):
        raise ValueError(
            f"{text!r} is no code of four characters as v4l2-ctl prints them, such as MJPG or YUYV"
        )
    return text


class CaptureSettings(Settings):
    """How one camera is captured."""

    pixel_format: Annotated[str, AfterValidator(_a_code)] | None = Field(
        None, description="four-character code; default: MJPG, else the best raw one"
    )
    width: int | None = Field(None, ge=16, le=16384, description="pixels; the nearest size offered is taken")
    height: int | None = Field(None, ge=16, le=16384, description="pixels")
    fps: float | None = Field(None, ge=0.01, le=1000, description="frames per second; default: up to 30")
    controls: dict[str, int | bool | str] = Field(
        default_factory=dict,
        description="image controls by the names that `v4l2-ctl -L` prints; menus by label too",
    )
    jpeg_quality: int = Field(85, ge=1, le=100, description="of frames that have to be encoded (raw formats)")
    buffers: int = Field(4, ge=2, le=32, description="frames that the driver may hold")
    settle_s: float = Field(
        0.0,
        ge=0,
        le=10,
        description="after a start the camera adjusts its exposure for so long; stills wait, streams do not",
    )
    warm_ttl_s: float = Field(10.0, ge=0, le=3600, description="streams on for so long after the last use")
    parked_ttl_s: float = Field(
        60.0, ge=0, le=86400, description="stays open, not streaming, for so long after that"
    )


class CameraSettings(CaptureSettings):
    """Settings of the cameras that match; the first table that matches counts, alone."""

    match: str = Field(
        min_length=1, description="serial number, port, or name of the camera; `*` and `?` as in file names"
    )
    id: str | None = Field(
        None, pattern=r"^camera(0|[1-9][0-9]{0,8})$", description="public id; default: by the ledger"
    )
    enabled: bool = Field(default=True, description="false: leave this device alone")


def _each_matched_once(tables: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
    twice = [match for match, count in Counter(table.match for table in tables).items() if count > 1]
    if twice:
        raise ValueError(f"there are two tables with match {twice[0]!r}, of which the second never counts")
    return tables


class V4l2TierSettings(Settings):
    """Each field's description is its row in the README's table."""

    defaults: CaptureSettings = Field(
        default_factory=CaptureSettings, description="for cameras that no table of `cameras` matches"
    )
    cameras: Annotated[tuple[CameraSettings, ...], AfterValidator(_each_matched_once)] = Field(
        (), description="settings of single cameras, see below"
    )
    hotplug: HotplugKind = Field(
        "auto", description="how devices that come and go are noticed; auto takes the first that works"
    )
    settle_s: float = Field(
        0.3, ge=0, le=10, description="a device has to be unchanged for so long before it is used"
    )
    reconcile_s: float = Field(
        30.0, ge=2, le=3600, description="time between looks at all devices, as a safety net"
    )

"""Settings in `[plugins.libcamera_source]`."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from agent_core.plugin import Settings
from agent_core.plugin.matching import each_id_once, each_matched_once

__all__ = ("SOURCE", "CameraSettings", "CaptureSettings", "LibcameraSettings", "ProgramChoice")

#: Name of the plugin, of its source and of the source in fingerprints.
SOURCE = "libcamera_source"

ProgramChoice = Literal["auto", "rpicam", "gstreamer", "cam"]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("the path must be absolute, because the agent's working folder may vary")
    return path


def _a_word(word: str) -> str:
    if "\0" in word or word == "!":
        raise ValueError("a word must contain no NUL character, and must not be a single !")
    return word


class CaptureSettings(Settings):
    """Settings for capturing from one camera."""

    width: int = Field(1280, ge=64, le=16384, multiple_of=2, description="pixels, even")
    height: int = Field(720, ge=64, le=16384, multiple_of=2, description="pixels, even")
    fps: float = Field(30.0, ge=0.1, le=240, description="frames per second")
    codec: Literal["mjpeg", "h264"] = Field(
        "mjpeg",
        description="h264: video that the board encodes, streamed and recorded as it is; snapshots are decoded from it"
        " (`rtsp_tier`)",
    )
    bitrate: int | None = Field(
        None, ge=10_000, le=200_000_000, description="bits per second of H.264; default: the encoder's"
    )
    key_interval_s: float = Field(
        2.0, ge=0.1, le=60, description="seconds between key frames of H.264, with which viewers begin"
    )
    camera_format: Literal["raw", "jpeg"] | None = Field(
        None,
        description="jpeg: take the JPEGs that the camera itself makes (GStreamer, cam); GStreamer takes raw to turn the picture;"
        " default: raw, jpeg for USB cameras",
    )
    rotation: Literal[0, 180] = Field(0, description="degrees by which the picture is turned")
    hflip: bool = Field(default=False, description="mirror the picture, left to right")
    vflip: bool = Field(default=False, description="mirror the picture, top to bottom")
    jpeg_quality: int = Field(85, ge=1, le=100, description="quality of the JPEGs that the program makes")
    tuning_file: Annotated[Path, AfterValidator(_absolute)] | None = Field(
        None,
        description="absolute path of a tuning file for the camera's sensor, read on a Raspberry Pi only; default: libcamera's own",
    )
    extra_arguments: tuple[Annotated[str, AfterValidator(_a_word)], ...] = Field(
        (),
        description="further words for the program: options of rpicam-vid, or properties of libcamerasrc such as"
        " `exposure-value=0.5`",
    )
    settle_s: float | None = Field(
        None,
        ge=0,
        le=10,
        description="seconds for the exposure to settle after a start; snapshots wait, streams do not;"
        " default: until the brightness is steady, at most 3 s (6 s below 5 frames per second), 2 s for h264; 0: no wait",
    )
    warm_ttl_s: float = Field(10.0, ge=0, le=3600, description="seconds to keep streaming after the last use")

    @model_validator(mode="after")
    def _has_something_to_encode(self) -> "CaptureSettings":
        if self.codec == "h264" and self.camera_format == "jpeg":
            raise ValueError(
                'codec = "h264" is encoded from raw pictures: remove camera_format = "jpeg", or choose codec = "mjpeg"'
            )
        return self


class CameraSettings(CaptureSettings):
    """Settings of the cameras that match; only the first matching table applies."""

    match: str = Field(
        min_length=1, description="libcamera's id of the camera, or its model; `*` and `?` as in file names"
    )
    id: str | None = Field(
        None, pattern=r"^camera(0|[1-9][0-9]{0,8})$", description="public id; default: assigned by the agent"
    )
    enabled: bool = Field(default=True, description="false: do not use this camera")


class LibcameraSettings(Settings):
    """Settings of the plugin; the README prints the description of each field."""

    program: ProgramChoice = Field(
        "auto",
        description="program that captures: rpicam (rpicam-vid or libcamera-vid), gstreamer (libcamerasrc) or cam;"
        " auto: the first of these that is installed",
    )
    defaults: CaptureSettings = Field(
        default_factory=CaptureSettings,
        description="settings of cameras without a matching table in `cameras`",
    )
    cameras: Annotated[
        tuple[CameraSettings, ...], AfterValidator(each_matched_once), AfterValidator(each_id_once)
    ] = Field((), description="settings of individual cameras, see below")
    usb: bool = Field(
        default=False,
        description="true: use USB cameras, too, which `v4l2_tier` serves otherwise; never enable both for one camera",
    )
    list_interval_s: float = Field(
        60.0,
        ge=2,
        le=86400,
        description="seconds between lists of all cameras, in case devices have changed unseen",
    )

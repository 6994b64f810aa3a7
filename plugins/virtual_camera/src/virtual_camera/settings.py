"""Settings of `[plugins.virtual_camera]`."""

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from agent_core.plugin import Settings, VideoCodec

__all__ = ("CameraSettings", "VirtualCameraSettings")


class CameraSettings(BaseModel):
    """Settings of one camera."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="name shown to clients; unique")
    id: str | None = Field(
        None,
        pattern=r"^camera(0|[1-9][0-9]{0,8})$",
        description="public id, such as camera0; default: numbered from camera100",
    )
    serial: str | None = Field(
        None,
        min_length=1,
        max_length=100,
        description="serial number that identifies the camera after a restart; default: from the name",
    )
    width: int = Field(640, ge=160, le=3840, multiple_of=2, description="pixels")
    height: int = Field(480, ge=120, le=2160, multiple_of=2, description="pixels")
    fps: float = Field(15.0, ge=0.2, le=60, description="frames per second")
    drop_rate: float = Field(
        0.0, ge=0, lt=1, description="share of frames dropped at random, for a varying rate"
    )
    pixel_format: Literal["yuvj420p", "yuvj422p", "yuvj444p"] = Field(
        "yuvj422p", description="chroma sampling of the JPEGs; most USB cameras send 4:2:2"
    )
    codec: VideoCodec = Field(
        VideoCodec.MJPEG,
        description="coding of the pictures; h264 and h265 as from cameras without JPEGs, always 4:2:0",
    )
    key_interval_s: float = Field(
        2.0, ge=0.1, le=60, description="time between key frames of h264 and h265, in seconds"
    )
    picture: Literal["test", "file"] = Field("test", description="a moving test picture, or a looped file")
    file: Path | None = Field(None, description="video or image to loop; implies picture = file")
    timestamps: Literal["device", "arrival"] = Field(
        "device",
        description="device: frames carry their true time; arrival: they carry none, as with some cameras",
    )

    @model_validator(mode="before")
    @classmethod
    def _file_implies_picture(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("file") is not None:
            return {"picture": "file", **values}
        return values

    @field_validator("file")
    @classmethod
    def _absolute(cls, file: Path | None) -> Path | None:
        if file is not None and not file.is_absolute():
            msg = "the path must be absolute, because the agent's working folder may vary"
            raise ValueError(msg)
        return file

    @model_validator(mode="after")
    def _picture_and_file_agree(self) -> "CameraSettings":
        if (self.picture == "file") != (self.file is not None):
            msg = "set both 'file' and picture = \"file\", or neither"
            raise ValueError(msg)
        return self

    @property
    def is_coded(self) -> bool:
        """True if the camera delivers coded video rather than JPEGs."""
        return self.codec is not VideoCodec.MJPEG

    @property
    def recognised_by(self) -> str:
        """Serial number, or the name in lower case with dashes."""
        return self.serial or re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-") or self.name


class VirtualCameraSettings(Settings):
    """Settings of the plugin."""

    cameras: tuple[CameraSettings, ...] = Field(
        (CameraSettings(name="Virtual camera"),), description="one table per camera; default: one camera"
    )
    faults: bool = Field(
        default=False, description="add the method virtual_camera.set_fault (for tests; role admin)"
    )

    @field_validator("cameras")
    @classmethod
    def _unique(cls, cameras: tuple[CameraSettings, ...]) -> tuple[CameraSettings, ...]:
        for what, values in (
            ("the name", [each.name for each in cameras]),
            ("the id", [each.id for each in cameras if each.id]),
            ("the serial number", [each.recognised_by for each in cameras]),
        ):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                msg = f"two cameras have {what} '{twice}'"
                raise ValueError(msg)
        return cameras

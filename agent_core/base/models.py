"""The nouns of the agent as frozen values. Nothing here does I/O."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol

__all__ = (
    "CAMERA_ID",
    "Camera",
    "CameraEvent",
    "CameraId",
    "CameraMode",
    "CameraStatus",
    "CapturedAtSource",
    "Control",
    "DetectedCamera",
    "FfmpegInput",
    "Fingerprint",
    "Frame",
    "FrameReader",
    "FrameSocket",
    "MediaInput",
    "Picture",
    "PictureFormat",
    "PluginEvent",
    "Url",
)

CameraId = NewType("CameraId", str)
#: The form of a camera's public name; numbers are decided by `agent_core.cameras`.
CAMERA_ID = re.compile(r"camera(0|[1-9][0-9]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Features by which a camera is recognised, strongest first: serial number, port, description.

    `source` names the plugin that saw it; fingerprints of different sources never match.
    """

    source: str
    serial: str | None = None
    port: str | None = None
    descriptor: str | None = None


@dataclass(frozen=True, slots=True)
class FrameSocket:
    """A unix socket that sends one camera's newest JPEG frames, one after another, to whoever connects."""

    path: Path
    width: int
    height: int
    fps: float


@dataclass(frozen=True, slots=True)
class Url:
    """A network stream; the media server pulls it, so it needs no publisher. Its `repr` keeps the address to itself."""

    url: str = field(repr=False)
    has_credentials: bool = False


@dataclass(frozen=True, slots=True)
class FfmpegInput:
    """FFmpeg input arguments, ending with `-i NAME`; each word one element, never a shell string."""

    args: tuple[str, ...]


MediaInput = FrameSocket | Url | FfmpegInput


@dataclass(frozen=True, slots=True)
class CameraMode:
    """One picture format and size, with the frame rates (frames per second) it is offered at."""

    format: str
    width: int
    height: int
    fps: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Control:
    """An image control as the driver describes it; `choices` maps values to labels where it is a menu."""

    name: str
    kind: str
    minimum: int
    maximum: int
    step: int
    default: int
    value: int
    choices: tuple[tuple[int, str], ...] = ()


class CapturedAtSource(StrEnum):
    """Where a capture time comes from, best first."""

    DEVICE = "device"
    ARRIVAL = "arrival"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Frame:
    """One complete JPEG frame of a broker.

    `captured_s` (monotonic) is when it was exposed, as exactly as the source knows; for `ARRIVAL` it is the arrival
    less the camera's pipeline latency. `sequence` counts the broker's good frames. `settled` is False while a camera
    that was just started still adjusts its exposure.
    """

    data: bytes
    sequence: int
    captured_s: float
    captured_at_source: CapturedAtSource
    width: int
    height: int
    settled: bool = True


class FrameReader(Protocol):
    """A camera's frame broker, as far as snapshot tiers may use it."""

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> Frame:
        """The newest frame exposed at or after `not_before_s` (monotonic); waits for one, by default a settled one.

        Raises:
            CaptureFailed: the camera cannot deliver.
        """
        ...


@dataclass(frozen=True, slots=True)
class DetectedCamera:
    """A camera as its source reports it; the core assigns the id.

    `key` is the source's own handle, unique within the source while the camera is connected. `number_hint` is the N
    of the device node where there is one; `configured_id` an id the operator chose. `frames` is the camera's
    broker, where it has one.
    """

    key: str
    name: str
    fingerprint: Fingerprint
    media_input: MediaInput | None
    modes: tuple[CameraMode, ...] = ()
    controls: tuple[Control, ...] = ()
    resolution: tuple[int, int] | None = None
    fps: float | None = None
    number_hint: int | None = None
    configured_id: CameraId | None = None
    frames: FrameReader | None = field(default=None, compare=False, repr=False)


class CameraStatus(StrEnum):
    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera under its public id. `since_s` (monotonic) is when its status last changed.

    `ambiguous`: it may be another camera of the same make. `moved`: it was on another port before it last came.
    """

    id: CameraId
    status: CameraStatus
    since_s: float
    detected: DetectedCamera
    problem: str = ""
    ambiguous: bool = False
    moved: bool = False

    @property
    def name(self) -> str:
        return self.detected.name

    @property
    def media_input(self) -> MediaInput | None:
        return self.detected.media_input

    @property
    def frames(self) -> FrameReader | None:
        return self.detected.frames


class PictureFormat(StrEnum):
    JPG = "jpg"
    PNG = "png"


@dataclass(frozen=True, slots=True)
class Picture:
    """A still as a tier took it.

    `captured_s` (monotonic) is never later than the exposure's true start where the source is `DEVICE`, so a caller
    may compare it with the time of its request. `settled` is False where the camera was still adjusting its exposure.
    """

    data: bytes
    format: PictureFormat
    width: int
    height: int
    captured_s: float
    captured_at_source: CapturedAtSource
    settled: bool = True


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """A camera came, went or changed; `topic` is one of the camera topics of the wire contract."""

    topic: str
    camera: Camera


@dataclass(frozen=True, slots=True)
class PluginEvent:
    """A plugin is in quarantine; `reason` is a sentence."""

    plugin: str
    reason: str

"""Frozen values that all packages share: cameras, frames, pictures, events. Nothing here does I/O."""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Literal, NewType, Protocol, runtime_checkable
from urllib.parse import quote

from agent_core.base.controls import Control, ControlOutcome, ControlPanel
from agent_core.base.errors import CaptureFailed

__all__ = (
    "CAMERA_ID",
    "Camera",
    "CameraEvent",
    "CameraId",
    "CameraMode",
    "CameraStatus",
    "CapturedAtSource",
    "ControlCause",
    "ControlsEvent",
    "DetectedCamera",
    "DeviceReporter",
    "DeviceState",
    "FfmpegInput",
    "Fingerprint",
    "Frame",
    "FrameFollower",
    "FrameReader",
    "FrameSocket",
    "MediaInput",
    "Picture",
    "PictureFormat",
    "PluginEvent",
    "SettledBy",
    "Settlement",
    "StreamGate",
    "Url",
    "VideoCodec",
)

CameraId = NewType("CameraId", str)
#: Form of a camera's public name; `agent_core.cameras` assigns the numbers.
CAMERA_ID = re.compile(r"camera(0|[1-9][0-9]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Features by which a camera is recognised, strongest first: serial number, port, description.

    `source` names the plugin that detected it; fingerprints of different sources never match.
    """

    source: str
    serial: str | None = None
    port: str | None = None
    descriptor: str | None = None


class VideoCodec(StrEnum):
    """Coding of the pictures that a camera itself delivers."""

    MJPEG = "mjpeg"
    H264 = "h264"
    H265 = "h265"


@dataclass(frozen=True, slots=True)
class FrameSocket:
    """Unix socket that sends a camera's newest frames to each client that connects, in live Matroska.

    `width` and `height` are in pixels, `fps` is the camera's nominal rate in frames per second. With a `codec` other
    than MJPEG, a client first gets the newest group of pictures, from its key frame on.
    """

    path: Path
    width: int
    height: int
    fps: float
    codec: VideoCodec = VideoCodec.MJPEG


@dataclass(frozen=True, slots=True)
class Url:
    """Network stream that the media server pulls, without a publisher. Its `repr` hides the address.

    User and password are part of the address, percent-encoded; only the media server is given them. A camera with
    `has_credentials` is never opened by a program whose command line would show the address.
    """

    url: str = field(repr=False)
    has_credentials: bool = False

    @classmethod
    def with_credentials(cls, url: str, user: str, password: str) -> "Url":
        """Return the stream at `url`, which names no user, with these credentials in any characters."""
        scheme, mark, rest = url.partition("://")
        known = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return cls(f"{scheme}{mark}{known}@{rest}", has_credentials=True)


@dataclass(frozen=True, slots=True)
class FfmpegInput:
    """FFmpeg input arguments, ending with `-i NAME`; one word per element, never a shell string."""

    args: tuple[str, ...]


MediaInput = FrameSocket | Url | FfmpegInput


@dataclass(frozen=True, slots=True)
class CameraMode:
    """Picture format and size, with the frame rates (frames per second) that the camera offers for it."""

    format: str
    width: int
    height: int
    fps: tuple[float, ...]


class CapturedAtSource(StrEnum):
    """Source of a capture time, best first."""

    DEVICE = "device"
    ARRIVAL = "arrival"
    ESTIMATED = "estimated"


class SettledBy(StrEnum):
    """Reason for which a camera's exposure counts as settled after its start.

    `BRIGHTNESS`: the pictures became equally bright. `TIME`: the configured time passed. `LIMIT`: the pictures stayed
    black or white, or their brightness kept changing, until the longest wait was over.
    """

    BRIGHTNESS = "brightness"
    TIME = "time"
    LIMIT = "limit"


@dataclass(frozen=True, slots=True)
class Settlement:
    """End of a camera's adjustment of its exposure: the reason, and `after_s` seconds after the stream's first picture."""

    by: SettledBy
    after_s: float


@dataclass(frozen=True, slots=True)
class Frame:
    """Frame of a broker: a complete JPEG, or one picture of coded video (`agent_core.plugin.frames.CodedFrame`).

    `captured_s` (monotonic) is the time of exposure, as exactly as the source knows it; for `ARRIVAL` the arrival less
    the camera's pipeline latency. `sequence` counts the broker's good frames. `settled` is False while a camera that
    was just started still adjusts its exposure; `settlement` tells how that ended, if the source waits for it.
    """

    data: bytes
    sequence: int
    captured_s: float
    captured_at_source: CapturedAtSource
    width: int
    height: int
    settled: bool = True
    settlement: Settlement | None = None


class FrameReader(Protocol):
    """Part of a camera's frame broker that snapshot tiers may use."""

    async def fresh(self, not_before_s: float, *, settled: bool = True) -> Frame:
        """Return the newest frame exposed at or after `not_before_s` (monotonic); wait if there is none yet.

        Only a settled frame is returned, unless `settled` is False.

        Raises:
            CaptureFailed: the camera cannot deliver.
        """
        ...


@runtime_checkable
class FrameFollower(FrameReader, Protocol):
    """`FrameReader` whose frames live views follow, as a `FrameBroker` is one. New in 1.4.

    Live views of a camera with another `FrameReader`, or without one, repeat stills, twice per second.
    """

    async def after(self, sequence: int) -> Frame:
        """Return the newest frame numbered above `sequence`; wait for one, even while the camera does not deliver.

        Raises:
            CaptureFailed: the camera is gone; there will be no more frames.
        """
        ...

    def demand(self) -> AbstractContextManager[None]:
        """Keep the camera delivering while the context is open."""
        ...


@dataclass(frozen=True, slots=True)
class DeviceState:
    """State of the device behind a frame broker, as its last use showed it. Times are monotonic seconds.

    Attributes:
        is_streaming: frames arrive now.
        newest_s: exposure of the newest frame, if its exposure had settled; None before such a frame.
        unsettled_s: exposure of the newest frame that was taken while the exposure was settling; None before such a frame.
        problem: why the device delivered no frames; None once frames arrive again, and before the first use.
        since_s: time when `problem` appeared or was solved; None if there has not been one.
        is_refusing: the broker pauses after `problem`, and refuses frames without trying the device.
    """

    is_streaming: bool = False
    newest_s: float | None = None
    unsettled_s: float | None = None
    problem: CaptureFailed | None = None
    since_s: float | None = None
    is_refusing: bool = False


class DeviceReporter(Protocol):
    """Optional part of a `FrameReader`, or a camera's `device`: no capture is tried while the device is known to refuse."""

    @property
    def device(self) -> DeviceState:
        """State of the device, without I/O."""
        ...


class StreamGate(Protocol):
    """Check of a camera's address, as its source makes it each time before the agent opens the camera."""

    async def admit(self) -> MediaInput:
        """Return the input at which the camera may be opened now; the source also reports it if it has changed.

        Raises:
            CaptureFailed: it must not be opened now.
        """
        ...

    async def admit_redirect(self, url: str) -> str:
        """Return the URL to open in place of `url`, to which the camera redirects: without user, with a fixed address.

        Raises:
            AgentError: it must not be opened. The message must not repeat `url`, which may be secret.
        """
        ...


@dataclass(frozen=True, slots=True)
class DetectedCamera:
    """Camera as its source reports it; the core assigns the id.

    `key` is the source's own handle, unique within the source while the camera is connected. `number_hint` is the
    number of the device node, `configured_id` the id that the operator chose, `frames` the camera's broker, `gate` the
    check before the agent opens a network camera, `panel` the access to its controls; each may be None. `tracks` are the
    codecs of the stream, such as H264, AAC or KLV, if the source knows them. A new value of a control does not make it
    another camera, so `controls` do not count in comparisons. `device` tells the state of the device behind
    `media_input` where `frames` does not: a camera that delivers coded video has no `frames`.
    """

    key: str
    name: str
    fingerprint: Fingerprint
    media_input: MediaInput | None
    modes: tuple[CameraMode, ...] = ()
    controls: tuple[Control, ...] = field(default=(), compare=False)
    resolution: tuple[int, int] | None = None
    fps: float | None = None
    number_hint: int | None = None
    configured_id: CameraId | None = None
    frames: FrameReader | None = field(default=None, compare=False, repr=False)
    gate: StreamGate | None = field(default=None, compare=False, repr=False)
    tracks: tuple[str, ...] = ()
    panel: ControlPanel | None = field(default=None, compare=False, repr=False)
    device: DeviceReporter | None = field(default=None, compare=False, repr=False)


class CameraStatus(StrEnum):
    CONNECTED = "CONNECTED"
    DISCONNECTED = "DISCONNECTED"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Camera:
    """Camera under its public id. `since_s` (monotonic) is the time of its last change of status.

    `ambiguous`: it may be another camera of the same make. `moved`: it was on another port when last connected.
    `removed`: its source has given it up; it is not listed, and keeps its id, its recordings and its snapshots.
    """

    id: CameraId
    status: CameraStatus
    since_s: float
    detected: DetectedCamera
    problem: str = ""
    ambiguous: bool = False
    moved: bool = False
    removed: bool = False

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

    @property
    def media_type(self) -> Literal["image/jpeg", "image/png"]:
        """MIME type of a picture in this format."""
        return "image/jpeg" if self is PictureFormat.JPG else "image/png"


@dataclass(frozen=True, slots=True)
class Picture:
    """Still picture as a tier took it.

    `captured_s` (monotonic) is never later than the true start of the exposure if the source is `DEVICE`, so a caller
    may compare it with the time of its request. `settled` is False if the camera was still adjusting its exposure;
    `settlement` tells how that ended, if the source waits for it.
    """

    data: bytes
    format: PictureFormat
    width: int
    height: int
    captured_s: float
    captured_at_source: CapturedAtSource
    settled: bool = True
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class CameraEvent:
    """Arrival, departure or change of a camera; `topic` is one of the wire contract's camera topics."""

    topic: str
    camera: Camera


class ControlCause(StrEnum):
    """Cause of new control values: a client's call, a client's reset, or the return of a camera with kept values."""

    SET = "set"
    RESET = "reset"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class ControlsEvent:
    """New values of a camera's controls, with the outcome of each."""

    camera: CameraId
    outcomes: tuple[ControlOutcome, ...]
    cause: ControlCause


@dataclass(frozen=True, slots=True)
class PluginEvent:
    """Quarantine of a plugin; `reason` is a sentence."""

    plugin: str
    reason: str

"""Classes that plugins implement.

The core calls and cancels providers. A provider starts tasks only in task groups of its own.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from pydantic import BaseModel, ConfigDict

from agent_core.base.errors import AgentError, DependencyFailed, InvalidState, NotFound, Unsupported
from agent_core.base.models import Camera, Picture
from agent_core.plugin.context import CameraReport

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials

__all__ = (
    "HOOKSPEC_API",
    "CameraSource",
    "CaptureRequest",
    "Component",
    "MediaServer",
    "MediaServerEndpoints",
    "MethodExample",
    "Plugin",
    "Publisher",
    "RecordingStills",
    "RpcMethod",
    "RpcParams",
    "RpcResult",
    "Settings",
    "SnapshotTier",
    "StillRequest",
    "TierNeed",
)

#: Version of the hooks, of the classes below and of what the core lends. A plugin declares the range that it supports.
#: 1.1 added `AgentContext.streams`, `SnapshotTier.needs` and `SnapshotTier.latency_s`.
#: 1.2 added `agent_recording_stills`, `CameraReport.removed`, `DetectedCamera.gate`,
#: `DetectedCamera.tracks`, `AgentContext.redirects` and `agent_core.plugin.state`.
#: 1.3 added `RpcMethod.example`, `RpcMethod.deprecated`, `agent_reload`, `HOT`, `DetectedCamera.panel`,
#: `CameraReport.controls`, `Control.flags`, `Control.unsettable` and `agent_core.plugin.controls`.
#: 1.4 added `VideoCodec`, `FrameSocket.codec`, `DetectedCamera.device`, `FrameBroker(codec=)`, `FrameSink.gap`,
#: `FrameSink.offer(arrived_s=, settlement=)`, `BrokerSettings.awaits_first`, `Tail(listener=)`,
#: `FrameProducer.key_frame_wanted`, `AgentContext.plugins`, `agent_core.plugin.matching`, `agent_core.plugin.video`,
#: `SettledBy`, `Settlement`, `jpeg.mend`, `ExposureSettling`, `measure`, `DeviceState.unsettled_s`, `device_state`,
#: the argument `ffmpeg_program` of `agent_checks`, `FrameFollower`, `agent_web_routes`,
#: `AgentContext.sessions` with `agent_core.plugin.sessions`, `AuthenticationFailed` and `Component.problem`.
HOOKSPEC_API = "1.4"


class Settings(BaseModel):
    """Base of a plugin's settings. The core validates `[plugins.<name>]` with them before it constructs the plugin."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=Settings)


class Plugin(Generic[SettingsT]):
    """Base of a plugin: a class that implements hooks and that an entry point of `camera_agent.plugins` names.

    The core validates the settings with `Settings`, constructs the plugin with them and registers the instance.
    The constructor must not do I/O; the providers that the hooks return do it.
    """

    Settings: ClassVar[type[Settings]] = Settings
    #: Supported versions of `HOOKSPEC_API`, a PEP 440 version specifier.
    hookspec_api: ClassVar[str] = ">=1.0,<2"
    #: Topics of the plugin's events, each `<plugin>.<word>`. Clients may subscribe to them; the plugin publishes them
    #: with `AgentContext.events`.
    topics: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings


class CameraSource(ABC):
    """Source of cameras: finds them and reports them to the core."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Unique name of the source, shown in logs and statuses."""

    @abstractmethod
    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        """Report cameras that appear, change and disappear, until cancelled.

        Call `task_status.started()` after reporting the first inventory, even if it is empty.

        A source that returns has nothing more to report; its cameras stay. If it raises, the core shows its cameras
        as disconnected and calls `watch` again after a pause, which grows with each failure.
        """


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """Time limits of one still, in seconds of the monotonic clock.

    The core refuses a picture exposed before `not_before_s`, and cancels the capture at `deadline_s`.
    """

    not_before_s: float
    deadline_s: float


class TierNeed(StrEnum):
    """Resource that a tier's captures depend on: the core skips the tier while it knows that the resource is missing."""

    #: Frames of the camera's broker, so the device.
    FRAMES = "frames"
    #: The camera's `media_input`, which the tier opens itself. For a `FrameSocket` that is the broker's device.
    INPUT = "input"
    #: A stream that is live already; the tier starts none.
    LIVE_STREAM = "live_stream"
    #: The media server: the tier starts the stream if it is not live.
    STREAM = "stream"
    #: Nothing that the core knows about; the tier is tried by its rank.
    NOTHING = "nothing"


class SnapshotTier(ABC):
    """Way to take a still, one rung of the snapshot ladder."""

    needs: ClassVar[TierNeed] = TierNeed.NOTHING

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the tier, reported as `tier_name` of a snapshot."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Place in the ladder from 0 (fastest) to 3, reported as `tier_used` of a snapshot."""

    @abstractmethod
    def supports(self, camera: Camera) -> bool:
        """Return True if the tier can ever serve this camera.

        Must be pure and quick. Temporary obstacles do not count: `capture` reports them.
        """

    def latency_s(self, camera: Camera) -> float:
        """Return the least age (s) of this camera's pictures when they arrive, as the tier dates them; default: 0.

        No picture exposed after a moment arrives sooner than this after it, so the core skips the tier if the deadline
        is earlier. Must be pure and quick.
        """
        return 0.0

    @abstractmethod
    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Take one picture.

        The core may cancel this at any `await`; no process and no open file may remain.

        Raises:
            TierUnavailable: the tier cannot take a picture now. The core tries the next tier.
            CaptureFailed: the attempt failed. The core tries the next tier.
        """


@dataclass(frozen=True, slots=True)
class StillRequest:
    """File of a recording from which a picture is wanted.

    Attributes:
        descriptor: the file, open for reading at its beginning; the core closes it after the call. The path is not told:
            nothing else can be opened in its place, and no name can be taken for an option or an address.
        suffix: `.mp4` for fragmented MP4, `.ts` for an MPEG transport stream.
        width: wanted width in pixels; the core scales a wider picture.
        max_pixels: most pixels of a picture that may be decoded.
    """

    descriptor: int
    suffix: str
    width: int
    max_pixels: int


class RecordingStills(ABC):
    """Decoder of pictures from recorded files, for thumbnails. Since version 1.2 of the hooks."""

    @abstractmethod
    async def first(self, request: StillRequest) -> bytes:
        """Return the first key frame of the file as a JPEG.

        The file may be damaged, hostile, or still written. The core limits the time and may cancel this at any `await`;
        no process may remain.

        Raises:
            CaptureFailed: `no_picture` or `picture_damaged` if the file has no usable picture, `picture_too_large` if
                it has too many pixels: the core does not ask again while the file stays the same.
            DependencyFailed: another failure, after which the core may ask again.
        """


class Component(ABC):
    """Background service that runs as long as the agent."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Unique name of the component, shown in logs and statuses."""

    @property
    def problem(self) -> AgentError | None:
        """Error that `get_status` shows although the component runs, such as a server that is away. New in 1.4.

        Read from memory at each question; None if there is none.
        """
        return None

    @abstractmethod
    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run until cancelled. Call `task_status.started()` when the component is ready to serve.

        If it raises, the core runs it again after a pause, which grows with each failure. If it returns, the core
        counts it as done and does not run it again.
        """


class MediaServerEndpoints(Protocol):
    """Addresses of a media server, without a trailing slash, and the credentials for them."""

    @property
    def api_url(self) -> str: ...

    @property
    def rtsp_url(self) -> str: ...

    @property
    def credentials(self) -> "Credentials | None":
        """Credentials for the API and for reading streams; None if the server needs none."""
        ...


class MediaServer(Component):
    """Component that provides a media server with MediaMTX's API v3, on this host and under the agent's account."""

    @abstractmethod
    async def wait_endpoints(self) -> MediaServerEndpoints:
        """Wait until the server listens and return its endpoints.

        The core calls this once: the endpoints must stay the same when the component is run again.
        """


class RpcParams(BaseModel):
    """Base of a method's parameters. Refuses unknown names, NaN and infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class RpcResult(BaseModel):
    """Base of a method's result, with the field names of the wire."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(frozen=True, slots=True)
class MethodExample:
    """Call of a method with its result, for `rpc.discover`. A test runs the examples of all methods.

    The examples of an agent tell one story: the same value, such as the name of a recording, stands for the same thing
    in each of them. A test replaces values that an agent makes by those that it got from the calls of `after`.

    Attributes:
        params: the parameters; only those that are set explicitly are sent.
        result: an instance of the method's result.
        after: methods whose examples are called before, in this order, each on the same connection.
    """

    params: BaseModel
    result: object
    after: tuple[str, ...] = ()


ParamsT = TypeVar("ParamsT", bound=RpcParams)


class RpcMethod(ABC, Generic[ParamsT]):
    """JSON-RPC method that a plugin adds. `rpc.discover` lists it like the core's methods."""

    #: Name on the wire: `<plugin>.<word>`, unless the API contract defines the method.
    name: ClassVar[str]
    #: Role that a caller needs: `viewer`, `operator` or `admin`.
    role: ClassVar[str]
    #: Description in `rpc.discover`, one sentence.
    summary: ClassVar[str]
    Params: ClassVar[type[RpcParams]] = RpcParams
    Result: ClassVar[type[RpcResult]] = RpcResult
    #: Errors that `call` raises, for `rpc.discover`; those of any call, such as InvalidParams, need not be named.
    errors: ClassVar[tuple[type[AgentError], ...]] = (NotFound, InvalidState, Unsupported, DependencyFailed)
    #: True once another method should be used; `rpc.discover` tells it, and the method keeps working.
    deprecated: ClassVar[bool] = False

    @classmethod
    def example(cls) -> MethodExample | None:
        """Return a call with its result for `rpc.discover`; None by default. Called at the first `rpc.discover`."""
        return None

    @abstractmethod
    async def call(self, params: ParamsT) -> RpcResult:
        """Answer one call. The core cancels it when the caller's connection closes.

        Raises:
            AgentError: the caller receives this error. Any other exception becomes an internal error and is logged.
        """


@dataclass(frozen=True, slots=True)
class Publisher:
    """Command line of a program that publishes one media input. The core decides when and where it runs.

    Attributes:
        argv: program and arguments except the last, the address `rtsp://HOST:PORT/PATH` to publish at, which the core
            appends. Must not contain a secret. The core quotes it (`shlex.join`) where a shell or the media server
            parses the command.
        redacted: the same as one line for clients and logs, without the program's folder, the input and the output.
        reports_progress: the program is FFmpeg and accepts `-stats_period SECONDS -progress ADDRESS` before the last
            argument. The core then reports how many frames it has sent.
    """

    argv: tuple[str, ...]
    redacted: str
    reports_progress: bool = False

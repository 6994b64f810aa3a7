"""Classes that plugins implement. The core constructs, calls, cancels; a provider never starts a task it does not own."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Protocol, TypeVar

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus
from pydantic import BaseModel, ConfigDict

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
    "Plugin",
    "Publisher",
    "RpcMethod",
    "RpcParams",
    "RpcResult",
    "Settings",
    "SnapshotTier",
)

#: The version of the hooks and classes below. A plugin declares the range that it was written for.
HOOKSPEC_API = "1.0"


class Settings(BaseModel):
    """The base of a plugin's settings, validated from `[plugins.<name>]` before the plugin is constructed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


SettingsT = TypeVar("SettingsT", bound=Settings)


class Plugin(Generic[SettingsT]):
    """Base of the class that an entry point of `camera_agent.plugins` names; it implements some of the hooks.

    The core validates `Settings`, constructs the plugin with them and registers the instance. Construction does no
    I/O; that is for the providers that the hooks return.
    """

    Settings: ClassVar[type[Settings]] = Settings
    #: The range of `HOOKSPEC_API` it works with, as in a requirement (PEP 440).
    hookspec_api: ClassVar[str] = ">=1.0,<2"
    #: Topics that clients may subscribe to, each `<plugin>.<word>`; published with `AgentContext.events`, the payload a
    #: frozen dataclass, a mapping or a pydantic model whose fields are the event's params.
    topics: ClassVar[tuple[str, ...]] = ()

    def __init__(self, settings: SettingsT) -> None:
        self.settings = settings


class CameraSource(ABC):
    """Where cameras come from."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Shown in logs and statuses."""

    @abstractmethod
    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        """Report cameras as they come, change and go, until cancelled.

        Call `task_status.started()` once the first inventory has been reported, also if it is empty. Returning means
        that the source has nothing more to say; its cameras stay. Raising means that it failed: its cameras are
        shown with the error and it is started again, with growing pauses.
        """


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """A caller's demands on a still. Both times are monotonic seconds.

    A picture exposed before `not_before_s` does not serve; the capture is cancelled at `deadline_s`.
    """

    not_before_s: float
    deadline_s: float


class SnapshotTier(ABC):
    """One way to take a still."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The `tier_name` of a snapshot."""

    @property
    @abstractmethod
    def rank(self) -> int:
        """Its place in the ladder, 0 (fastest) to 3; the `tier_used` of a snapshot."""

    @abstractmethod
    def supports(self, camera: Camera) -> bool:
        """Return True if the tier can serve this camera at all. Pure and quick; momentary obstacles are for `capture` to report."""

    @abstractmethod
    async def capture(self, camera: Camera, request: CaptureRequest) -> Picture:
        """Take one picture; cancellable at any await, leaving no process and no open file behind.

        Raises:
            TierUnavailable: not possible at the moment; the next tier is tried.
            CaptureFailed: tried and failed; the next tier is tried.
        """


class Component(ABC):
    """Something that runs beside the core for as long as the agent does."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Shown in statuses."""

    @abstractmethod
    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; `task_status.started()` when it serves.

        Raising means failed: it is started again, with growing pauses. Returning means done.
        """


class MediaServerEndpoints(Protocol):
    """Where a media server listens; both addresses without a slash at the end."""

    @property
    def api_url(self) -> str: ...

    @property
    def rtsp_url(self) -> str: ...

    @property
    def credentials(self) -> "Credentials | None":
        """For the API and for reading; None where none are needed."""
        ...


class MediaServer(Component):
    """A component that is a media server with MediaMTX's API v3, on this host and under this account."""

    @abstractmethod
    async def wait_endpoints(self) -> MediaServerEndpoints:
        """Where it listens, as soon as it does; asked once, so it stays that however often the component is run."""


class RpcParams(BaseModel):
    """The base of a method's parameters; unknown names are refused, and numbers that are none."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)


class RpcResult(BaseModel):
    """The base of a method's result, as the wire has it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


ParamsT = TypeVar("ParamsT", bound=RpcParams)


class RpcMethod(ABC, Generic[ParamsT]):
    """A JSON-RPC method that a plugin adds; it appears in `rpc.discover` like the core's own."""

    #: The wire name; a plugin's own methods start with the plugin's name and a dot, unless the contract names them.
    name: ClassVar[str]
    #: `viewer`, `operator` or `admin`.
    role: ClassVar[str]
    #: One sentence for `rpc.discover`.
    summary: ClassVar[str]
    Params: ClassVar[type[RpcParams]] = RpcParams
    Result: ClassVar[type[RpcResult]] = RpcResult

    @abstractmethod
    async def call(self, params: ParamsT) -> RpcResult:
        """Answer one call; cancelled when the caller's connection closes. Raise `AgentError`s for the caller."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """A program that publishes one media input, as data: the core decides where and when it runs.

    `argv` is complete but for its last word: the owner appends one, the address `rtsp://HOST:PORT/PATH` to publish
    at, and nothing else. No word of `argv` is a secret; it is a list, so where a shell or the media server parses
    the command, the owner quotes (`shlex.join`). `redacted` is one line for clients and logs: the same without the
    program's folder, the input and the output.

    `reports_progress`: it is an FFmpeg, and takes `-stats_period SECONDS -progress ADDRESS` before the last word. With
    these it is known how many frames it has sent.
    """

    argv: tuple[str, ...]
    redacted: str
    reports_progress: bool = False

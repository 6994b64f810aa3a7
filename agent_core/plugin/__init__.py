"""The agent's public API for plugins. Every name here is stable within one major version of `HOOKSPEC_API`.

Tools for plugins are in submodules: `agent_core.plugin.ffmpeg`, `.frames`, `.jpeg`, `.processes`, `.rtsp`.
"""

from anyio import TASK_STATUS_IGNORED as NOT_ASKED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import (
    AgentError,
    CaptureFailed,
    DependencyFailed,
    FfmpegFailed,
    InvalidParams,
    InvalidState,
    MediaServerError,
    NotFound,
    StartFailed,
    TierUnavailable,
    Unsupported,
)
from agent_core.base.models import (
    Camera,
    CameraId,
    CameraMode,
    CameraStatus,
    CapturedAtSource,
    Control,
    DetectedCamera,
    DeviceReporter,
    DeviceState,
    FfmpegInput,
    Fingerprint,
    Frame,
    FrameReader,
    FrameSocket,
    MediaInput,
    Picture,
    PictureFormat,
    Url,
)
from agent_core.base.waiting import GrowingPauses, first_of
from agent_core.base.workers import WorkerPool
from agent_core.plugin.abc import (
    HOOKSPEC_API,
    CameraSource,
    CaptureRequest,
    Component,
    MediaServer,
    MediaServerEndpoints,
    Plugin,
    Publisher,
    RpcMethod,
    RpcParams,
    RpcResult,
    Settings,
    SnapshotTier,
    TierNeed,
)
from agent_core.plugin.checks import Check, Finding, FindingStatus
from agent_core.plugin.context import (
    AgentContext,
    CameraDirectory,
    CameraReport,
    CameraStreams,
    EventPublisher,
    LiveStream,
)
from agent_core.plugin.spec import MARKER, hookimpl

#: Type of `task_status`: a provider calls `started()` when it is up. `NOT_ASKED` is a default that ignores the call.
Started = TaskStatus[None]

__all__ = (
    "HOOKSPEC_API",
    "MARKER",
    "NOT_ASKED",
    "AgentContext",
    "AgentError",
    "Camera",
    "CameraDirectory",
    "CameraId",
    "CameraMode",
    "CameraReport",
    "CameraSource",
    "CameraStatus",
    "CameraStreams",
    "CaptureFailed",
    "CaptureRequest",
    "CapturedAtSource",
    "Check",
    "Clock",
    "Component",
    "Control",
    "DependencyFailed",
    "DetectedCamera",
    "DeviceReporter",
    "DeviceState",
    "EventPublisher",
    "FfmpegFailed",
    "FfmpegInput",
    "Finding",
    "FindingStatus",
    "Fingerprint",
    "Frame",
    "FrameReader",
    "FrameSocket",
    "GrowingPauses",
    "InvalidParams",
    "InvalidState",
    "LiveStream",
    "MediaInput",
    "MediaServer",
    "MediaServerEndpoints",
    "MediaServerError",
    "NotFound",
    "Picture",
    "PictureFormat",
    "Plugin",
    "Publisher",
    "RpcMethod",
    "RpcParams",
    "RpcResult",
    "Settings",
    "SnapshotTier",
    "StartFailed",
    "Started",
    "TierNeed",
    "TierUnavailable",
    "Unsupported",
    "Url",
    "WorkerPool",
    "first_of",
    "hookimpl",
)

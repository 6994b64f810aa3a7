"""Answers of the agent's methods, as far as the mirror reads them; other members are ignored."""

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = (
    "Answer",
    "CameraList",
    "Metrics",
    "RunningRecording",
    "ServerInfo",
    "Status",
    "Storage",
    "SystemStatus",
    "Tier",
)


class Answer(BaseModel):
    """Base of the answers."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CameraList(Answer):
    """Answer of `get_camera_list`. The cameras are passed on as they are."""

    cameras: list[dict[str, Any]]


class RunningRecording(Answer):
    state: str
    file_size: int
    duration: float


class _RecordingMetrics(Answer):
    active_recordings: int
    recordings: dict[str, RunningRecording]


class _SystemMetrics(Answer):
    cpu_usage: float | None = None
    memory_usage: float | None = None
    disk_usage: float | None = None
    load_average: float | None = None


class Tier(Answer):
    name: str
    rank: int
    count: int
    p50_ms: float | None = None
    p95_ms: float | None = None


class _SnapshotMetrics(Answer):
    tiers: list[Tier]


class Metrics(Answer):
    """Answer of `get_metrics`."""

    system_metrics: _SystemMetrics
    recording_metrics: _RecordingMetrics
    snapshot_metrics: _SnapshotMetrics


class _Plugin(Answer):
    name: str
    status: str


class ServerInfo(Answer):
    """Answer of `get_server_info`."""

    version: str
    contract_version: str
    python_version: str
    architecture: str
    capabilities: list[str]
    plugins: list[_Plugin]


class Status(Answer):
    """Answer of `get_status`; `timestamp` as on the wire."""

    status: str
    uptime: float
    components: dict[str, str]
    timestamp: str


class _Problem(Answer):
    reason: str
    details: str
    suggestion: str


class SystemStatus(Answer):
    """Answer of `get_system_status`."""

    status: str
    problems: list[_Problem]


class Storage(Answer):
    """Answer of `get_storage_info`."""

    total_space: int
    available_space: int
    low_space_warning: bool
    hours_left: float | None = None

"""Payloads of the state topics, as docs/mqtt.md describes them. Without I/O."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mqtt_bridge.state.answers import RunningRecording, Status
from mqtt_bridge.state.told import NewestPicture, ToldRecording
from mqtt_bridge.state.view import AgentView

__all__ = (
    "AgentFacts",
    "Document",
    "agent_document",
    "camera_document",
    "health_document",
    "recording_document",
    "start_of",
)

#: Payload before it is serialized.
Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """Facts about this agent that the settings decide.

    Attributes:
        agent: id at the broker.
        name: name for people.
        labels: labels by name.
        limits: member `limits` of `state/agent`.
    """

    agent: str
    name: str
    labels: Mapping[str, str]
    limits: Mapping[str, object]


def agent_document(view: AgentView, facts: AgentFacts, *, boot_id: str, started_at: str) -> Document:
    server = view.server
    return {
        "agent": facts.agent,
        "name": facts.name,
        "version": server.version,
        "contract_version": server.contract_version,
        "boot_id": boot_id,
        "started_at": started_at,
        "labels": dict(facts.labels),
        "host": {
            "name": platform.node(),
            "architecture": server.architecture,
            "python_version": server.python_version,
        },
        "capabilities": server.capabilities,
        "plugins": [each.name for each in server.plugins if each.status == "LOADED"],
        "limits": dict(facts.limits),
    }


def health_document(view: AgentView) -> Document:
    metrics, storage = view.metrics.system_metrics, view.storage
    return {
        "status": view.status.status,
        "readiness": view.system.status,
        "problems": [each.model_dump() for each in view.system.problems],
        "components": view.status.components,
        "active_recordings": view.metrics.recording_metrics.active_recordings,
        "cpu_percent": metrics.cpu_usage,
        "memory_percent": metrics.memory_usage,
        "disk_percent": metrics.disk_usage,
        "load_average": metrics.load_average,
        "disk_free_bytes": None if storage is None else storage.available_space,
        "disk_total_bytes": None if storage is None else storage.total_space,
        "disk_low": None if storage is None else storage.low_space_warning,
        "disk_hours_left": None if storage is None else storage.hours_left,
        "tiers": [each.model_dump() for each in view.metrics.snapshot_metrics.tiers],
    }


def camera_document(form: Mapping[str, object], picture: NewestPicture | None) -> Document:
    return {
        **form,
        "newest_picture_at": None if picture is None else picture.captured_at,
        "newest_picture_tier": None if picture is None else picture.tier,
    }


def recording_document(camera: str, running: RunningRecording | None, told: ToldRecording | None) -> Document:
    """Return the recording of a camera: the agent's memory decides about its state, and events tell the rest."""
    state = "IDLE" if running is None else running.state
    if running is None and told is not None and told.status == "SUSPENDED":
        state = told.status
    return {
        "device": camera,
        "state": state,
        "filename": None if told is None else told.filename,
        "reason": None if told is None else told.reason,
        "changed_at": None if told is None else told.timestamp,
        "duration": None if running is None else running.duration,
        "file_size": None if running is None else running.file_size,
    }


def start_of(status: Status) -> str:
    """Return the time of the agent's start, as on the wire."""
    started_at = datetime.fromisoformat(status.timestamp).astimezone(UTC) - timedelta(seconds=status.uptime)
    return started_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

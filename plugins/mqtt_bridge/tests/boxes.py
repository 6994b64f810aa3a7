"""Bridges over a stand-in for the agent, whose state, events and failures a test decides."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio

from agent_core.plugin import Clock
from agent_core.testing import FakeAgent, FakeSessions
from mqtt_bridge.component import MqttBridge
from mqtt_bridge.settings import MqttBridgeSettings

__all__ = ("Box", "HurriedClock", "running_box")


class HurriedClock:
    """Clock that runs `factor` times as fast as the true one, for pauses between real connections."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._began_s = time.monotonic()

    def monotonic_s(self) -> float:
        return (time.monotonic() - self._began_s) * self._factor

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.monotonic_s())

    async def sleep(self, duration_s: float) -> None:
        await anyio.sleep(duration_s / self._factor)


@dataclass
class Box:
    """Agent whose methods answer from these values, which a test may change.

    Attributes:
        cameras: status of each camera, by id.
        recordings: state of each recording under way, by camera.
        load_percent: load of its processors.
    """

    sessions: FakeSessions
    cameras: dict[str, str] = field(default_factory=lambda: {"camera0": "CONNECTED"})
    recordings: dict[str, str] = field(default_factory=dict)
    load_percent: float = 5.0

    def __post_init__(self) -> None:
        admin = {"get_metrics": self._metrics, "get_status": _STATUS, "get_storage_info": _STORAGE}
        viewer = {
            "get_camera_list": lambda _: {
                "cameras": [
                    {"device": each, "name": each, "status": status} for each, status in self.cameras.items()
                ]
            },
            "get_system_status": {"status": "ready", "problems": []},
            "get_server_info": _SERVER,
        }
        self.sessions.answers |= admin | viewer
        self.sessions.roles |= dict.fromkeys(admin, "admin")

    def set_camera(self, camera: str, status: str | None) -> int:
        """Change a camera, or forget it for None, and publish the event; returns its number."""
        if status is None:
            del self.cameras[camera]
        else:
            self.cameras[camera] = status
        topic = "camera.connected" if status == "CONNECTED" else "camera.disconnected"
        return self.sessions.publish(topic, {"device": camera, "status": status or "DISCONNECTED"})

    def set_recording(self, camera: str, state: str, reason: str | None = None) -> int:
        """Change a recording, and publish the event; returns its number."""
        self.recordings.pop(camera, None)
        if state not in {"STOPPED", "SUSPENDED"}:
            self.recordings[camera] = state
        params: dict[str, Any] = {
            "device": camera,
            "status": state,
            "filename": f"{camera}-1",
            "duration": 1.5,
            "timestamp": "2026-11-22T00:00:01.000Z",
        }
        return self.sessions.publish("recording.start", params | ({"reason": reason} if reason else {}))

    def _metrics(self, _params: Mapping[str, Any]) -> Any:
        running = {
            camera: {"state": state, "file_size": 1000, "duration": 2.0}
            for camera, state in self.recordings.items()
        }
        tier = {"name": "frames", "rank": 0, "count": 3, "p50_ms": 12.5, "p95_ms": 20.0}
        return {
            "system_metrics": {"cpu_usage": self.load_percent, "memory_usage": 30.0},
            "recording_metrics": {"active_recordings": len(running), "recordings": running},
            "snapshot_metrics": {"tiers": [tier]},
        }


_STATUS: Any = {
    "status": "HEALTHY",
    "uptime": 60.0,
    "components": {"mqtt_bridge": "RUNNING"},
    "checks": [],
    "timestamp": "2026-11-22T00:01:00.000Z",
}
_STORAGE: Any = {"total_space": 1000, "available_space": 400, "low_space_warning": False, "hours_left": 7.5}
_SERVER: Any = {
    "version": "0.1.0",
    "contract_version": "1.0",
    "python_version": "3.11.2",
    "architecture": "x86_64",
    "capabilities": ["events"],
    "plugins": [{"name": "mqtt_bridge", "status": "LOADED"}, {"name": "broken", "status": "FAILED"}],
}


@asynccontextmanager
async def running_box(
    folder: Path, clock: Clock, *, url: str, **settings: Any
) -> AsyncIterator[tuple[Box, MqttBridge]]:
    """Run a bridge named `box` whose agent is a stand-in."""
    folder.mkdir(exist_ok=True)
    agent = FakeAgent(folder, clock=clock)
    box = Box(agent.sessions)
    values = MqttBridgeSettings.model_validate({"url": url, "agent_id": "box", "name": "Box", **settings})
    component = MqttBridge(agent, values)
    async with anyio.create_task_group() as tasks:
        await tasks.start(component.run)
        try:
            yield box, component
        finally:
            tasks.cancel_scope.cancel()

"""Whole agents with virtual cameras and the bridge, at a real broker."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent_core.plugin import Clock
from agent_core.testing import RunningAgent, running_agent

from .mosquitto import Seen

__all__ = ("ROOT", "bridged_agent", "set_fault", "state_of")

#: Topics of the agent's id in these tests.
ROOT = "camera-agent/box"


@asynccontextmanager
async def bridged_agent(
    url: str,
    folder: Path,
    *,
    cameras: int = 1,
    media: bool = False,
    clock: Clock | None = None,
    plugins: Mapping[str, object] | None = None,
    more: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[RunningAgent]:
    """Run an agent named `box` at a broker.

    Args:
        url: address of the broker, which need not run.
        folder: state of the agent, kept over its starts.
        cameras: number of virtual cameras, from camera0 on.
        media: run a media server too, for recordings.
        clock: clock of the agent; default: the system's.
        plugins: further plugins, as classes by name.
        more: further sections of the agent's configuration.
        settings: settings of the bridge.
    """
    devices = [
        {"name": f"Camera {number}", "id": f"camera{number}", "width": 320, "height": 240, "fps": 10}
        for number in range(cameras)
    ]
    table: dict[str, Any] = {
        "enabled": ["virtual_camera", "ffmpeg_tier", "mqtt_bridge"],
        "virtual_camera": {"cameras": devices, "faults": True},
        "mqtt_bridge": {"url": url, "agent_id": "box", "name": "Box", **settings},
    }
    sections: dict[str, Any] = dict(more or {})
    if media:
        table["enabled"].append("embedded_server")
        table["embedded_server"] = {"api_port": 0, "rtsp_port": 0}
    folder.mkdir(exist_ok=True)
    async with running_agent(
        plugins=plugins, config={**sections, "plugins": table}, folder=folder, clock=clock
    ) as agent:
        yield agent


async def set_fault(agent: RunningAgent, camera: str, fault: str, *, enabled: bool) -> None:
    async with agent.client("admin") as client:
        await client.call("virtual_camera.set_fault", device=camera, fault=fault, enabled=enabled)


def state_of(seen: Seen, *levels: str) -> dict[str, Any] | None:
    """Return the newest state in a topic below `state/`; None without one, or if it was cleared."""
    payload = seen.last("/".join((ROOT, "state", *levels)))
    return json.loads(payload) if payload else None

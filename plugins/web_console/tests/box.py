"""Agent with the console and virtual cameras."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from PIL import Image

from agent_core.auth.login_codes import LoginCodes
from agent_core.auth.roles import Role
from agent_core.auth.secret import Secret
from agent_core.base.clock import SystemClock
from agent_core.plugin import ffmpeg
from agent_core.testing import RunningAgent, running_agent
from plugins.web_console.tests.colours import Colour
from virtual_camera.plugin import VirtualCameraPlugin
from web_console.plugin import WebConsolePlugin

__all__ = ("EMBEDDED", "MOVING", "box", "login_link", "needs_h265", "painted")

#: Settings of a virtual camera whose picture changes.
MOVING: dict[str, Any] = {"name": "Moving", "width": 320, "height": 240, "fps": 5}
#: Settings of plugins with a media server that records.
EMBEDDED: dict[str, Any] = {
    "enabled": ["ffmpeg_tier", "embedded_server"],
    "embedded_server": {"api_port": 0, "rtsp_port": 0},
}


def painted(folder: Path, name: str, colour: Colour) -> dict[str, Any]:
    """Return the settings of a virtual camera whose picture has one colour."""
    file = folder / f"{abs(hash(name))}.png"
    Image.new("RGB", (320, 240), colour).save(file)
    return {"name": name, "picture": "file", "file": str(file), "width": 320, "height": 240, "fps": 5}


@asynccontextmanager
async def box(
    cameras: Sequence[Mapping[str, Any]],
    folder: Path | None = None,
    *,
    others: Mapping[str, object] | None = None,
    **sections: Any,
) -> AsyncIterator[RunningAgent]:
    """Run an agent with the console, these virtual cameras, numbered from camera0, and other plugins."""
    tables = [{"id": f"camera{number}", **each} for number, each in enumerate(cameras)]
    plugins = {"virtual_camera": {"faults": True, "cameras": tables}, **sections.pop("plugins", {})}
    async with running_agent(
        plugins={"virtual_camera": VirtualCameraPlugin, "web_console": WebConsolePlugin, **(others or {})},
        config={"plugins": plugins, **sections},
        folder=folder,
    ) as agent:
        yield agent


async def needs_h265() -> None:
    """Skip the test if no camera can send H.265 here."""
    told = (await anyio.run_process([ffmpeg.locate(), "-hide_banner", "-encoders"])).stdout
    if b"libx265" not in told:
        pytest.skip("this FFmpeg encodes no H.265")


def login_link(agent: RunningAgent, role: str = "admin") -> str:
    """Return the link that `camera-agent token link` prints."""
    codes = LoginCodes(Secret.load(agent.folder / "state/secret"), SystemClock())
    return f"{agent.http_url}/#login={codes.create('tester', Role(role))}"

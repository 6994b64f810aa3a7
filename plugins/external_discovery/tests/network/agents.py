"""Agents with the plugin of external streams, on the agent's host of a network."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio

from agent_core.client import CallFailed
from agent_core.plugin.rtsp import Credentials
from agent_core.testing.waiting import eventually
from tests.e2e.media import Rig, media_rig

from .cameras import USER
from .lan import Network

__all__ = ("SETTINGS", "ExternalAgent", "external_agent", "settings_for", "userinfo")

Observe = Callable[[str], None]

#: Short pauses and limits, for a network without distance.
SETTINGS: Mapping[str, Any] = {
    "connect_timeout_s": 0.5,
    "answer_timeout_s": 5.0,
    "hosts_at_once": 32,
    "multicast_wait_s": 1.0,
}


def userinfo(credentials: Credentials = USER) -> str:
    """Return the user and the password as they stand in a URL."""
    return f"{quote(credentials.user, safe='')}:{quote(credentials.password, safe='')}"


def settings_for(network: Network, **settings: Any) -> dict[str, Any]:
    """Return settings of the plugin that search the first 16 addresses of the wire, and allow the wire's networks."""
    wire = network.wire
    searched = f"{wire.v4.network_address}/28"
    discovery = {"networks": [searched], **SETTINGS, **settings.pop("discovery", {})}
    allowed = [str(wire.v4), str(wire.v6)]
    return {"allowed_networks": allowed, "discovery": discovery, **settings}


class ExternalAgent:
    """Agent that runs, with the methods for external streams."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.call = rig.call
        self.refused = rig.refused

    async def add(self, url: str, name: str = "", **params: Any) -> str:
        """Add a stream, by default under its address, and return its camera's id once the camera is connected."""
        params |= {"stream_url": url, "stream_name": name or url.rpartition("@")[2]}
        added = await self.call("add_external_stream", None, **params)
        device = str(added["device"])
        await self.rig.until("get_camera_status", device, status="CONNECTED")
        return device

    async def try_to_add(self, url: str, name: str = "camera", **params: Any) -> CallFailed | None:
        """Add a stream; return the error if it is refused."""
        params |= {"stream_url": url, "stream_name": name}
        try:
            await self.call("add_external_stream", None, **params)
        except CallFailed as error:
            assert error.reason, url
            assert error.details, url
            return error
        return None

    async def remove(self, url: str) -> None:
        await self.call("remove_external_stream", None, stream_url=url)

    async def known(self) -> dict[str, Any]:
        """Return the streams of `get_external_streams`, by URL."""
        listed = await self.call("get_external_streams", None)
        assert listed["total_count"] == len(listed["external_streams"])
        return {each["url"]: each for each in listed["external_streams"]}

    async def cameras(self) -> dict[str, str]:
        """Return the status of each camera besides the virtual one."""
        listed = (await self.call("get_camera_list", None))["cameras"]
        return {each["device"]: each["status"] for each in listed if each["device"] != "camera0"}

    async def paths(self) -> set[str]:
        """Return the names of the media server's paths besides the virtual camera's."""
        return {each["name"] for each in await self.call("get_streams", None)} - {"camera0"}

    async def until_paths(self, wanted: set[str]) -> None:
        """Wait until the media server has exactly these paths."""

        async def has() -> bool:
            return await self.paths() == wanted

        await eventually(has, timeout_s=20, every_s=0.05)

    async def record(self, device: str, seconds: float = 1.0) -> dict[str, Any]:
        """Record at least so much media, and return the result of the stop."""
        await self.call("start_recording", device, wait=True)
        await anyio.sleep(seconds)
        return dict(await self.call("stop_recording", device))


@asynccontextmanager
async def external_agent(
    kind: str, folder: Path, observe: Observe, settings: Mapping[str, Any] | None, **sections: Any
) -> AsyncIterator[ExternalAgent]:
    """Run an agent with a media server of that kind, `embedded` or `mediamtx`, for as long as the context is open.

    It has a virtual camera, camera0, so that external ones begin with camera1.

    Args:
        kind: the kind of media server.
        folder: folder for recordings and a media server beside the agent.
        observe: receives what clients receive.
        settings: settings of the plugin; None: it is not enabled.
        sections: further arguments of `media_rig`, such as sections of the configuration.
    """
    plugins: dict[str, Any] = {"rtsp_tier": {}}
    if settings is not None:
        plugins["external_discovery"] = settings
    async with media_rig(kind, folder, observe, plugins=plugins, **sections) as rig:
        yield ExternalAgent(rig)

"""The plugin of tiers 2 and 3 with a stand-in for the agent, at cameras whose streams are odd ones."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio

from agent_core.base.models import CameraId
from agent_core.plugin import AgentError, CaptureRequest, Picture, SnapshotTier
from agent_core.plugin.rtsp import Credentials
from agent_core.testing import FakeAgent, as_camera
from rtsp_tier.plugin import RtspTierPlugin
from rtsp_tier.settings import RtspTierSettings
from tests.odd.camera import Camera

from .network_cameras import network_camera

#: Far more than anything here needs: only a hang takes as long.
PATIENT: dict[str, Any] = {"connect_timeout_s": 30, "silence_timeout_s": 30, "latency_s": 0.2}


@dataclass(frozen=True)
class Oddity:
    """A camera, and the reasons with which an attempt to photograph it may end; none: it gives a picture."""

    name: str
    camera: Camera
    reasons: frozenset[str] = frozenset()
    credentials: Credentials | None = None
    address: str = "rtsp://127.0.0.1:{port}/cam"


@dataclass
class Photographer:
    """The plugin with an agent around it, and cameras whose streams are odd ones."""

    agent: FakeAgent
    tiers: dict[int, SnapshotTier]
    cameras: list[Camera] = field(default_factory=list)
    _numbers: int = 0

    async def photograph(self, oddity: Oddity, rank: int, request: CaptureRequest) -> Picture | AgentError:
        """Take one picture of a stream that is served only meanwhile; it is live for tier 2. Return an error."""
        odd = replace(oddity.camera)
        self.cameras.append(odd)
        self._numbers += 1
        name = f"camera{self._numbers}"
        async with odd.serving() as port:
            url = oddity.address.format(port=port)
            known = as_camera(network_camera(name, url), name)
            self.agent.cameras.known.append(known)
            stream = self.agent.streams.serve(CameraId(name), url, oddity.credentials)
            if rank == 2:
                stream.watch(self.agent.clock.monotonic_s())
            try:
                return await self.tiers[rank].capture(known, request)
            except AgentError as error:
                return error


@asynccontextmanager
async def photographer(folder: Path, **settings: Any) -> AsyncIterator[Photographer]:
    """Run the plugin for as long as the context is open."""
    agent = FakeAgent(folder)
    plugin: Any = RtspTierPlugin(RtspTierSettings.model_validate(settings))
    tiers = {tier.rank: tier for tier in plugin.agent_snapshot_tiers(agent)}
    async with anyio.create_task_group() as tg:
        for component in plugin.agent_components(agent):
            await tg.start(component.run)
        yield Photographer(agent, tiers)
        tg.cancel_scope.cancel()

"""Source of V4L2 cameras under the core's registry, as in the agent, with a record of the events."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from agent_core.base.events import Event, EventBus
from agent_core.base.models import Camera, CameraEvent, CameraStatus
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.registry import CameraRegistry, SourceReport
from agent_core.plugin import Clock
from agent_core.testing import FakeAgent, SystemClock
from v4l2_tier.settings import V4l2TierSettings
from v4l2_tier.source.source import V4l2Source

__all__ = ("Said", "Watching", "watching")

#: Time limit of any wait on an emulated processor on a busy host.
LIMIT_S = 60


@dataclass(frozen=True, slots=True)
class Said:
    """Event of the registry, with its time (monotonic), topic and camera."""

    at_s: float
    topic: str
    camera: Camera


class Watching:
    """Running source with its events."""

    def __init__(self, registry: CameraRegistry, clock: Clock) -> None:
        self.registry = registry
        self.clock = clock
        self.said: list[Said] = []
        self._changed = anyio.Event()

    def hear(self, event: Event) -> bool:
        assert isinstance(event.payload, CameraEvent)
        self.said.append(Said(self.clock.monotonic_s(), event.topic, event.payload.camera))
        self._changed.set()
        self._changed = anyio.Event()
        return False

    async def until(self, good: Callable[[list[Camera]], bool]) -> list[Camera]:
        """Wait until `good` accepts the list of cameras, and return it."""
        with anyio.fail_after(LIMIT_S):
            while not good(self.registry.list()):
                await self._changed.wait()
        return self.registry.list()

    async def until_connected(self, count: int) -> list[Camera]:
        """Wait for exactly `count` connected cameras, and return them."""
        cameras = await self.until(lambda cameras: len(connected(cameras)) == count)
        return connected(cameras)


def connected(cameras: list[Camera]) -> list[Camera]:
    return [camera for camera in cameras if camera.status is CameraStatus.CONNECTED]


@asynccontextmanager
async def watching(ledger: Path | None = None, **settings: object) -> AsyncIterator[Watching]:
    """Run the plugin's source with these settings; `ledger` is the file with the known cameras."""
    with TemporaryDirectory(prefix="ca-") as temporary:
        folder = Path(temporary)
        known = Ledger(ledger or folder / "cameras.json")
        known.load()
        bus, clock = EventBus(), SystemClock()
        seen = Watching(CameraRegistry(known, events=bus, clock=clock), clock)
        seen.registry.restore(["v4l2_tier"])
        source = V4l2Source(V4l2TierSettings.model_validate(settings), FakeAgent(folder))
        with bus.subscribe(seen.hear):
            async with anyio.create_task_group() as tg:
                tg.start_soon(known.keep_saved, clock)
                with anyio.fail_after(LIMIT_S):
                    await tg.start(source.watch, SourceReport(seen.registry, source.name))
                yield seen
                tg.cancel_scope.cancel()

"""Feeds of all cameras, each produced while it is viewed."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.base.errors import AgentError, CaptureFailed, RateLimited
from agent_core.base.events import Event, EventBus
from agent_core.base.models import Camera, CameraEvent, CameraId, CameraStatus
from agent_core.cameras import CameraRegistry
from agent_core.snapshots.ladder import disconnected, require_connected
from agent_core.snapshots.live.feed import LiveFeed
from agent_core.snapshots.live.scaling import FeedScaler
from agent_core.snapshots.live.sources import FeedSources
from agent_core.snapshots.models import SnapshotRequest, TakenPicture
from agent_core.snapshots.service import SnapshotService

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ("MOST_SIZES", "LiveFeeds")

_log = logging.getLogger("camera_agent.snapshots")

#: Most widths in which one camera is viewed at once: each is an encoding of every picture, and all take their turns
#: together, so that more of one client would slow those of the others.
MOST_SIZES = 8
#: Proposed to a client whose width is one too many.
_RETRY_MS = 5000
#: Width in pixels, or None for the camera's own pictures.
_Size = int | None


@dataclass(eq=False, slots=True)
class _Held:
    """Feed of a camera as it was, with the number of its users and the scope of its producer."""

    feed: LiveFeed
    camera: Camera
    users: int = 0
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class LiveFeeds:
    """Live pictures of cameras. A camera has one feed per size, however many view it; the composition root runs `run`.

    Args:
        sources: produce the cameras' own pictures.
        scaler: scales them.
        events: tells of cameras that go or change.
    """

    def __init__(self, sources: FeedSources, scaler: FeedScaler, *, events: EventBus) -> None:
        self._sources = sources
        self._scaler = scaler
        self._events = events
        self._held: dict[tuple[CameraId, _Size], _Held] = {}
        self._tasks: TaskGroup | None = None

    @classmethod
    def of(cls, snapshots: SnapshotService, cameras: CameraRegistry, *, events: EventBus) -> "LiveFeeds":
        """Return the feeds of the cameras, by the tiers, the converter and the clock of `snapshots`."""

        async def take(camera: CameraId, max_age_s: float) -> TakenPicture:
            request = SnapshotRequest(max_age_ms=round(max_age_s * 1000), user=f"live view of {camera}")
            return await snapshots.picture(cameras.get(camera), request)

        sources = FeedSources(take, snapshots.clock)
        return cls(sources, FeedScaler(snapshots.converter, snapshots.clock), events=events)

    def __len__(self) -> int:
        return len(self._held)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Produce feeds until cancelled; those of a camera that goes, or gets another broker, end at once."""
        with self._events.subscribe(_is_of_camera) as changes:
            try:
                async with anyio.create_task_group() as self._tasks:
                    task_status.started()
                    while True:
                        payload = (await changes.receive()).payload
                        if isinstance(payload, CameraEvent):
                            self._end_outdated(payload.camera)
            finally:
                self._tasks = None

    @asynccontextmanager
    async def view(self, camera: Camera, width: _Size) -> AsyncIterator[LiveFeed]:
        """Give the feed of `camera`, no wider than `width` pixels, which has begun; it is produced while it is viewed.

        Raises:
            CaptureFailed: the camera is not connected or gave no picture.
            RateLimited: `busy`: too many pictures wait to be converted; `too_many_sizes`: the camera is viewed in
                `MOST_SIZES` other widths.
        """
        require_connected(camera)
        self._end_outdated(camera)  # its event may not have been received yet
        with self._feed(camera, width) as feed:
            await feed.wait_begun()
            yield feed

    @contextmanager
    def _feed(self, camera: Camera, width: _Size) -> "Iterator[LiveFeed]":
        key = camera.id, width
        held = self._held.get(key)
        if held is None or held.feed.problem is not None:
            if width is not None:
                self._refuse_size(camera.id)
            held = self._held[key] = _Held(LiveFeed(self._sources.clock), camera)
            self._start(camera, width, held)
        held.users += 1
        try:
            yield held.feed
        finally:
            held.users -= 1
            if not held.users:
                held.scope.cancel()
                if self._held.get(key) is held:
                    del self._held[key]

    def _start(self, camera: Camera, width: _Size, held: _Held) -> None:
        if self._tasks is None:
            held.feed.end(_ending())
        elif width is None:
            self._tasks.start_soon(_produce, camera.id, held, partial(self._sources.show, camera, held.feed))
        else:
            self._tasks.start_soon(_produce, camera.id, held, partial(self._scale, camera, width, held.feed))

    async def _scale(self, camera: Camera, width: int, feed: LiveFeed) -> None:
        with self._feed(camera, None) as whole:
            await self._scaler.show(whole, feed, width=width)

    def _refuse_size(self, camera: CameraId) -> None:
        """Raise RateLimited if the camera has as many scaled feeds as it may have."""
        sizes = [
            width
            for (each, width), held in self._held.items()
            if each == camera and width is not None and held.feed.problem is None
        ]
        if len(sizes) >= MOST_SIZES:
            raise RateLimited(
                f"{camera} is viewed in {MOST_SIZES} widths, the most at once: {', '.join(map(str, sorted(sizes)))}. "
                "Ask for one of them, or leave out the width.",
                retry_after_ms=_RETRY_MS,
                reason="too_many_sizes",
            )

    def _end_outdated(self, camera: Camera) -> None:
        """End the feeds of a camera that has gone, and those that read another broker than it has now."""
        problem: AgentError | None = None
        if camera.removed or camera.status is CameraStatus.DISCONNECTED:
            problem = disconnected(camera.id)
        for (each, _), held in list(self._held.items()):
            if each == camera.id and (problem or held.camera.frames is not camera.frames):
                held.feed.end(problem or _ending())
                held.scope.cancel()


async def _produce(camera: CameraId, held: _Held, produce: "Callable[[], Awaitable[None]]") -> None:
    """Run a producer; its end, whatever the reason, ends the feed."""
    problem: AgentError = _ending()
    try:
        with held.scope:
            await produce()
    except AgentError as error:
        problem = error
    except Exception:  # noqa: BLE001 - a fault in one view must not end the others
        _log.exception("a live view failed", extra={"fields": {"camera": camera}})
    finally:
        held.feed.end(problem)


def _is_of_camera(event: Event) -> bool:
    return isinstance(event.payload, CameraEvent)


def _ending() -> CaptureFailed:
    return CaptureFailed("The live view has ended.", reason="view_ended", suggestion="Open it again.")

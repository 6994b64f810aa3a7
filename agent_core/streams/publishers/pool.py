"""Publishers that the agent runs: one for each leased camera, kept for a while after the last lease."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.models import CameraId
from agent_core.base.tasks import OwnedTasks
from agent_core.base.waiting import first_of
from agent_core.streams.publishers.runner import PublisherProcess, PublisherRunner

__all__ = ("Publishers",)


@dataclass
class _Slot:
    """A camera's publisher. `idle_since_s` is set while it has no lease; `released` is set with it."""

    camera: CameraId
    runner: PublisherRunner
    idle_since_s: float | None = None
    released: anyio.Event = field(default_factory=anyio.Event)
    is_ending: bool = False
    ended: anyio.Event = field(default_factory=anyio.Event)


class Publishers:
    """Publishes leased cameras. `run` owns the programs; they end with it.

    Args:
        make: returns a new runner for a camera's publisher.
        is_read: returns True if the camera's path has readers besides the agent; may not raise.
        close_after_s: time for which a stream is published after the last lease and the last reader.
    """

    def __init__(
        self,
        make: Callable[[CameraId], PublisherRunner],
        *,
        is_read: Callable[[CameraId], Awaitable[bool]],
        close_after_s: float,
        clock: Clock,
    ) -> None:
        self._make = make
        self._is_read = is_read
        self._close_after_s = close_after_s
        self._clock = clock
        self._leases: Counter[CameraId] = Counter()
        self._slots: dict[CameraId, _Slot] = {}
        self._tasks = OwnedTasks()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Own the publishers until cancelled."""
        async with self._tasks.open():
            task_status.started()
            await anyio.sleep_forever()

    def process(self, camera: CameraId) -> PublisherProcess | None:
        """Return the program that publishes the camera now; None if none does."""
        slot = self._slots.get(camera)
        return slot.runner.process if slot else None

    def hurry(self) -> None:
        """End the pauses of all publishers before their next start: the media server is back."""
        for slot in self._slots.values():
            slot.runner.hurry()

    def hurry_one(self, camera: CameraId) -> None:
        """End the pause of the camera's publisher, if it has one: the camera is back."""
        if (slot := self._slots.get(camera)) is not None:
            slot.runner.hurry()

    @contextmanager
    def lease(self, camera: CameraId) -> Iterator[None]:
        """Publish the camera from the first `wait_live` on, while the context is open."""
        self._leases[camera] += 1
        if (slot := self._slots.get(camera)) is not None:
            slot.idle_since_s = None
        try:
            yield
        finally:
            self._leases[camera] -= 1
            self._released(camera)

    def _released(self, camera: CameraId) -> None:
        slot = self._slots.get(camera)
        if slot is not None and not self._leases[camera]:
            slot.idle_since_s = self._clock.monotonic_s()
            slot.released.set()

    async def wait_live(self, camera: CameraId) -> None:
        """Return when the camera is published and live; the caller must have a lease.

        Raises:
            AgentError: it cannot be published.
        """
        while (slot := self._slots.get(camera)) is not None and slot.is_ending:
            await slot.ended.wait()
        if slot is None:
            slot = _Slot(camera, self._make(camera))
            self._tasks.start_soon(self._serve, slot)
            self._slots[camera] = slot
        await slot.runner.wait_live()

    async def _serve(self, slot: _Slot) -> None:
        try:
            await first_of(partial(self._publish, slot), partial(self._until_unused, slot))
        finally:
            del self._slots[slot.camera]
            slot.ended.set()

    async def _publish(self, slot: _Slot) -> None:
        """Publish until an attempt fails while the stream has no lease."""
        await slot.runner.run(lambda: self._leases[slot.camera] > 0)
        slot.is_ending = True

    async def _until_unused(self, slot: _Slot) -> None:
        """Return when the stream has had neither lease nor reader for `close_after_s`."""
        while True:
            await slot.released.wait()
            slot.released = anyio.Event()
            while slot.idle_since_s is not None:
                left_s = slot.idle_since_s + self._close_after_s - self._clock.monotonic_s()
                if left_s > 0:
                    await self._clock.sleep(left_s)
                elif not await self._is_read(slot.camera):
                    if slot.idle_since_s is not None:
                        slot.is_ending = True
                        return
                elif slot.idle_since_s is not None:
                    slot.idle_since_s = self._clock.monotonic_s()

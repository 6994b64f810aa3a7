"""Leases of streams for pictures, kept for a while so that the next picture needs no start."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
from anyio.abc import TaskGroup, TaskStatus

from agent_core.plugin import (
    NOT_ASKED,
    AgentError,
    CameraId,
    CameraStreams,
    Clock,
    LiveStream,
    TierUnavailable,
    first_of,
)

__all__ = ("WarmLease", "WarmLeases")

_HOLDER = "snapshot"
#: Time between two looks if the camera of a stream that is kept warm is still connected.
_LOOK_S = 1.0


@dataclass
class WarmLease:
    """Lease of one camera's stream. `decided` is set when it is live, or has failed with `error`."""

    users: int = 0
    warm_until_s: float = 0.0
    stream: LiveStream | None = None
    error: AgentError | None = None
    decided: anyio.Event = field(default_factory=anyio.Event)
    changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def is_live(self) -> bool:
        return self.stream is not None

    async def wait_live(self) -> LiveStream:
        """Return the stream when it is live.

        Raises:
            AgentError: it did not start.
        """
        await self.decided.wait()
        if self.stream is None:
            raise self.error or _ended()
        return self.stream

    def change(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


class WarmLeases:
    """Holds one lease per camera while it is used and `keep_warm_s` longer. `run` owns the leases.

    A lease ends at once if its camera is lost, and with `run`.

    Args:
        streams: the core's streams.
        keep_warm_s: time for which a stream stays live after its last use.
        is_connected: returns True while the camera is connected. Must be quick.
        clock: the agent's clock.
    """

    def __init__(
        self,
        streams: CameraStreams,
        *,
        keep_warm_s: float,
        is_connected: Callable[[CameraId], bool],
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._keep_warm_s = keep_warm_s
        self._is_connected = is_connected
        self._clock = clock
        self._leases: dict[CameraId, WarmLease] = {}
        self._tasks: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = NOT_ASKED) -> None:
        """Own the leases until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._tasks = None

    @asynccontextmanager
    async def hold(self, camera: CameraId, *, deadline_s: float) -> AsyncIterator[WarmLease]:
        """Start the camera's stream unless it is held, and keep it while the context is open; do not wait for it.

        The stream stays live for `keep_warm_s` after a context that ended without an error, or at `deadline_s`: a
        stream that starts slowly is then live for the next attempt. After any other error or cancellation it ends,
        unless an earlier use keeps it.

        Raises:
            TierUnavailable: `run` does not run.
        """
        lease = self._leases.get(camera)
        if lease is None or lease.error is not None:
            lease = self._start(camera)
        lease.users += 1
        has_worked = False
        try:
            yield lease
            has_worked = True
        finally:
            now_s = self._clock.monotonic_s()
            if has_worked or now_s >= deadline_s:
                lease.warm_until_s = now_s + self._keep_warm_s
            lease.users -= 1
            lease.change()

    def _start(self, camera: CameraId) -> WarmLease:
        if self._tasks is None:
            raise _ended()
        self._leases[camera] = lease = WarmLease()
        self._tasks.start_soon(self._keep, camera, lease)
        return lease

    async def _keep(self, camera: CameraId, lease: WarmLease) -> None:
        """Hold the lease until it is not needed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hold, camera, lease)
            try:
                await self._wait_unneeded(camera, lease)
            finally:
                lease.decided.set()
                if self._leases.get(camera) is lease:
                    del self._leases[camera]
            tasks.cancel_scope.cancel()

    async def _hold(self, camera: CameraId, lease: WarmLease) -> None:
        try:
            async with self._streams.lease(camera, _HOLDER) as lease.stream:
                lease.decided.set()
                await anyio.sleep_forever()
        except AgentError as error:
            lease.error = error
            lease.decided.set()
            lease.change()

    async def _wait_unneeded(self, camera: CameraId, lease: WarmLease) -> None:
        """Return when the lease has failed, or has no user and is not to be kept warm."""
        while lease.error is None:
            if lease.users:
                await lease.changed.wait()
                continue
            left_s = lease.warm_until_s - self._clock.monotonic_s()
            if left_s <= 0 or not self._is_connected(camera):
                return
            pause_s = min(left_s, _LOOK_S)
            await first_of(lease.changed.wait, partial(self._clock.sleep, pause_s))


def _ended() -> TierUnavailable:
    return TierUnavailable(
        "The plugin does not run, so it cannot hold streams.", suggestion="Try again in a moment."
    )

"""Leases on live streams: each camera's stream is held while at least one holder has a lease on it."""

import logging
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError
from agent_core.base.models import Camera, CameraId, CameraStatus
from agent_core.base.tasks import OnStarted, OwnedTasks
from agent_core.base.waiting import GrowingPauses
from agent_core.cameras.gates import admitted
from agent_core.config import MediaServerConfig
from agent_core.mediamtx import ServerLink
from agent_core.streams.camera_paths import CameraPaths
from agent_core.streams.held import HeldStream, hold_of, stopped
from agent_core.streams.models import PublishMode, StreamState
from agent_core.streams.publishers.pool import Publishers
from agent_core.streams.publishers.progress import PublisherProgress
from agent_core.streams.publishers.runner import PublisherProcess, PublisherRunner, publish_command

__all__ = ("StreamLeases",)

_log = logging.getLogger("camera_agent.streams")

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class StreamLeases:
    """Holds leased streams and runs the publishers that they need.

    `run` owns the tasks; all other methods are safe to call from any task.

    Args:
        link: the media server.
        paths: the cameras' paths at that server.
        progress: receives the reports of publishers; `run` runs it too.
    """

    def __init__(
        self,
        link: ServerLink,
        paths: CameraPaths,
        *,
        progress: PublisherProgress,
        settings: MediaServerConfig,
        clock: Clock,
    ) -> None:
        self._link = link
        self._paths = paths
        self._progress = progress
        self._settings = settings
        self._clock = clock
        self._held: dict[CameraId, HeldStream] = {}
        self._leased = anyio.Event()
        self._publishers = Publishers(
            self._runner, is_read=self._is_read, close_after_s=settings.close_after_s, clock=clock
        )
        self._tasks = OwnedTasks()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Own the holds until cancelled."""
        async with self._tasks.open() as tasks:
            await tasks.start(self._progress.run)
            await tasks.start(self._publishers.run)
            tasks.start_soon(self._hurry_after_silence)
            task_status.started()
            await anyio.sleep_forever()

    async def _hurry_after_silence(self) -> None:
        """Retry lost streams at once whenever the media server answers again."""
        while True:
            await self._link.recovery.wait()
            self._publishers.hurry()
            for held in self._held.values():
                held.wanted.set()

    def follow(self, camera: Camera) -> None:
        """Take a change of the camera into account.

        A lost stream is tried again at once if its camera is connected again or has another address; an attempt at the
        former address ends. The leases of a camera that was removed end.
        """
        is_back = camera.status is CameraStatus.CONNECTED
        if is_back:
            self._publishers.hurry_one(camera.id)
        held = self._held.get(camera.id)
        if held is None:
            return
        if camera.removed:
            for holder in [*held.holders]:
                self.release(camera.id, holder)
        elif held.state is not StreamState.ACTIVE and camera.media_input != held.opened:
            held.try_again()
        elif is_back:
            held.wanted.set()

    def state(self, camera: CameraId) -> tuple[StreamState, AgentError | None]:
        """Return the state of the hold and its problem; INACTIVE without a lease."""
        held = self._held.get(camera)
        return (held.state, held.problem) if held else (StreamState.INACTIVE, None)

    def live_since_s(self, camera: CameraId) -> float | None:
        """Return the time (monotonic) since when the stream is held live without a break; None if it is not."""
        held = self._held.get(camera)
        return held.live_s if held is not None and held.state is StreamState.ACTIVE else None

    @property
    def is_running(self) -> bool:
        """Return True while `run` runs; only then streams can be leased."""
        return self._tasks.is_open

    @property
    def held(self) -> frozenset[CameraId]:
        """The cameras with a leased stream."""
        return frozenset(self._held)

    def holders(self, camera: CameraId) -> frozenset[str]:
        """Return the holders of leases on the camera's stream."""
        held = self._held.get(camera)
        return frozenset(held.holders) if held else frozenset()

    def publisher(self, camera: CameraId) -> PublisherProcess | None:
        """Return the program with which the agent publishes the camera; None if the agent runs none."""
        return self._publishers.process(camera)

    def reporting(self, camera: CameraId) -> PublisherProcess | None:
        """Return the program that reports to the agent what it publishes of the camera, whichever program runs it."""
        return self._progress.process(camera)

    def frames_sent(self, camera: CameraId) -> int | None:
        """Return the frames that the camera's publisher had sent at its last report; None without reports."""
        return self._progress.frames(camera)

    def acquire(self, camera: CameraId, holder: str) -> None:
        """Give `holder` a lease on the camera's stream; a second one for the same holder changes nothing.

        The stream is started in the background and restarted whenever it ends, until the last lease is released.
        A stream in state ERROR is retried at once.
        """
        held = self._held.get(camera)
        if held is None:
            held = HeldStream(camera)
            self._tasks.start_soon(self._keep, held)
            self._held[camera] = held
            self._leased.set()
            self._leased = anyio.Event()
        held.holders.add(holder)
        if held.state is StreamState.ERROR:
            held.became(StreamState.STARTING)
            held.wanted.set()

    def release(self, camera: CameraId, holder: str) -> bool:
        """Take the lease back; return True if the stream continues for other holders."""
        held = self._held.get(camera)
        if held is None:
            return False
        held.holders.discard(holder)
        if held.holders:
            return True
        del self._held[camera]
        held.scope.cancel()
        held.became(StreamState.INACTIVE, held.problem)  # ends the waits for it
        return False

    def has_lease(self, camera: CameraId, holder: str) -> bool:
        """Return True if `holder` has a lease on the camera's stream."""
        held = self._held.get(camera)
        return held is not None and holder in held.holders

    async def wait_live(self, camera: CameraId) -> None:
        """Return when the leased stream is live.

        Raises:
            AgentError: the reason of the first failed attempt, or `stopped`.
        """
        if (held := self._held.get(camera)) is None:
            raise stopped()
        await held.wait_live()

    async def wait_change(self, camera: CameraId) -> None:
        """Return when the state of the leased stream changes next; at once without a lease."""
        held = self._held.get(camera)
        if held is not None:
            await held.changed.wait()

    async def wait_leased(self) -> None:
        """Return when the next stream that had no lease gets one."""
        await self._leased.wait()

    @asynccontextmanager
    async def lease(self, camera: CameraId, holder: str) -> AsyncIterator[None]:
        """Keep the camera's stream live while the context is open.

        Raises:
            AgentError: the stream could not be started.
        """
        self.acquire(camera, holder)
        try:
            await self.wait_live(camera)
            yield
        finally:
            self.release(camera, holder)

    async def _keep(self, held: HeldStream) -> None:
        """Hold the stream until the last lease is released; after a failure retry with growing pauses."""
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        with held.scope, self._publishers.lease(held.camera):
            while True:
                with anyio.CancelScope() as held.attempt:
                    if await self._hold(held):
                        pauses.reset()
                if held.attempt.cancel_called or await held.pause(pauses.next_s(), self._clock):
                    pauses.reset()

    async def _hold(self, held: HeldStream) -> bool:
        """Hold the stream until it fails; return True if it was live before."""
        was_live = False
        with ExitStack() as reading:

            def live() -> None:
                nonlocal was_live
                was_live = True
                held.live_s = self._clock.monotonic_s()
                reading.enter_context(self._paths.own_reader(held.camera))
                held.became(StreamState.ACTIVE)

            try:
                await self._open_and_hold(held, OnStarted(live))
            except AgentError as error:
                fields = {"camera": held.camera, "reason": error.reason}
                _log.warning("the stream is not live: %s", error.details, extra={"fields": fields})
                held.became(StreamState.ERROR, error)
                self._paths.sightings.ended(held.camera)
                self._link.doubt_after(error)
        return was_live

    async def _open_and_hold(self, held: HeldStream, live: OnStarted) -> None:
        camera = self._paths.camera(held.camera)
        if camera.detected.gate is not None:
            held.opened = camera.media_input
            await admitted(camera)
            camera = self._paths.camera(held.camera)
        held.opened = camera.media_input
        url = await self._paths.ensure(camera)
        hold = hold_of(url, self._link.require().endpoints.credentials, self._settings.start_timeout_s)
        if self._paths.plan.mode(camera) is PublishMode.AGENT:
            await self._publishers.wait_live(camera.id)
        await hold.run(task_status=live)

    # Publishers that the agent runs; unused if the media server runs them.

    def _runner(self, camera: CameraId) -> PublisherRunner:
        def on_live() -> None:
            if (held := self._held.get(camera)) is not None:
                held.wanted.set()

        return PublisherRunner(
            camera,
            prepare=lambda: self._publish_command(camera),
            look=lambda: self._paths.runtime(camera),
            start_timeout_s=self._settings.start_timeout_s,
            on_live=on_live,
            clock=self._clock,
        )

    async def _publish_command(self, id_: CameraId) -> tuple[str, ...]:
        camera = self._paths.camera(id_)
        publisher = self._paths.plan.command(camera)
        url = await self._paths.ensure(camera)
        assert publisher is not None  # noqa: S101 - mode AGENT has a publisher
        return publish_command(publisher, url)

    async def _is_read(self, camera: CameraId) -> bool:
        try:
            return self._paths.viewers(await self._paths.runtime(camera)) > 0
        except AgentError:
            return False

"""Live streams: a path for each camera, leased by name, held while anybody has a lease."""

import logging
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, MediaServerRefused
from agent_core.base.models import Camera, CameraId
from agent_core.base.waiting import GrowingPauses
from agent_core.config import MediaServerConfig
from agent_core.mediamtx.link import ServerLink
from agent_core.mediamtx.paths import PathDeferred
from agent_core.mediamtx.schema import PathConf, RuntimePath
from agent_core.streams.bitrate import BitrateMeter
from agent_core.streams.held import HeldStream, LiveStatus, hold_of, stopped
from agent_core.streams.models import PublishMode, StreamState
from agent_core.streams.plan import PathPlan
from agent_core.streams.publishers.pool import Publishers
from agent_core.streams.publishers.progress import PublisherProgress
from agent_core.streams.publishers.runner import PublisherRunner, publish_command

__all__ = ("StreamManager",)

_log = logging.getLogger("camera_agent.streams")

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 5.0


class StreamManager:
    """Paths and holds. `run` owns the tasks of the holds; everything else may be called from any task.

    Args:
        link: the media server.
        camera: the camera of an id as it is now; raises NotFound.
        plan: how each camera comes to its path.
        progress: what publishers report; runs with this.
    """

    def __init__(
        self,
        link: ServerLink,
        *,
        camera: Callable[[str], Camera],
        plan: PathPlan,
        progress: PublisherProgress,
        settings: MediaServerConfig,
        clock: Clock,
    ) -> None:
        self._link = link
        self.camera = camera
        self.plan = plan
        self.progress = progress
        self._settings = settings
        self._clock = clock
        self._held: dict[CameraId, HeldStream] = {}
        self._recording: dict[CameraId, PathConf] = {}
        #: Holds that the server counts as readers, those that are being torn down included.
        self._sessions: Counter[CameraId] = Counter()
        self._ensured: set[CameraId] = set()
        self._meters: defaultdict[CameraId, BitrateMeter] = defaultdict(BitrateMeter)
        self._leased = anyio.Event()
        #: Those that the agent runs; none where the media server runs them.
        self.publishers = Publishers(
            self._runner, is_read=self._is_read, close_after_s=settings.close_after_s, clock=clock
        )
        self._tg: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Own the holds until cancelled."""
        async with anyio.create_task_group() as tg:
            self._tg = tg
            try:
                await tg.start(self.progress.run)
                await tg.start(self.publishers.run)
                tg.start_soon(self._hurry_after_silence)
                task_status.started()
                await anyio.sleep_forever()
            finally:
                self._tg = None

    async def _hurry_after_silence(self) -> None:
        """A server that is back is used at once, by the streams that were lost with it."""
        while True:
            await self._link.recovery.wait()
            self.publishers.hurry()
            for held in self._held.values():
                held.wanted.set()

    def _desired(self, camera: Camera) -> PathConf:
        return self.plan.conf(camera, self._recording.get(camera.id, PathConf(record=False)))

    async def ensure(self, camera: Camera) -> str:
        """Make the server have the camera's path; returns the stream's RTSP URL for this host.

        Raises:
            MediaServerError, Unsupported, CaptureFailed: it cannot be.
        """
        server = self._link.require()
        self._ensured.add(camera.id)
        with suppress(PathDeferred):  # the stream that others have is used as it is
            await server.paths.ensure(camera.id, self._desired(camera))
        return f"{server.rtsp_url}/{camera.id}"

    async def set_recording(self, camera: Camera, conf: PathConf | None) -> None:
        """Record the camera's path as `conf` says, or with None no more; one hot PATCH where the path is there.

        What is set stays set: a path that has to be made again is made with it.

        Raises:
            MediaServerError: the server refused or is not there; what is set stays set nevertheless.
        """
        if conf is None:
            self._recording.pop(camera.id, None)
        else:
            self._recording[camera.id] = conf
        server = self._link.require()
        try:
            await server.paths.patch_record(camera.id, conf or PathConf(record=False))
        except MediaServerRefused as error:
            if error.status != 404:
                raise
            if conf is not None:
                await self.ensure(camera)

    async def runtime(self, camera: CameraId) -> RuntimePath | None:
        """The path as the server sees it; None if it has none."""
        path = await self._link.require().client.path(camera)
        self._meters[camera].saw(self._clock.monotonic_s(), path)
        return path

    def bitrate(self, camera: CameraId) -> float | None:
        """Bits a second that the server gets for the path, by the looks at it."""
        return self._meters[camera].bits_per_s

    def viewers(self, path: RuntimePath | None) -> int:
        """How many read the path, our own hold not counted."""
        if path is None:
            return 0
        return max(0, len(path.readers) - self._sessions[CameraId(path.name)])

    async def all_runtime(self) -> tuple[RuntimePath, ...]:
        """All of the server's paths, also those of others."""
        paths = await self._link.require().client.list_paths()
        for path in paths:
            if (camera := CameraId(path.name)) in self._held:
                self._meters[camera].saw(self._clock.monotonic_s(), path)
        return paths

    def state(self, camera: CameraId) -> tuple[StreamState, AgentError | None]:
        """Of the hold: INACTIVE where nobody has a lease."""
        held = self._held.get(camera)
        return (held.state, held.problem) if held else (StreamState.INACTIVE, None)

    @property
    def held(self) -> frozenset[CameraId]:
        """The cameras whose stream somebody has a lease on."""
        return frozenset(self._held)

    @property
    def ensured(self) -> frozenset[CameraId]:
        """The cameras that were ever given a path."""
        return frozenset(self._ensured)

    def acquire(self, camera: CameraId, holder: str) -> None:
        """Give `holder` a lease on the camera's stream; a second one for the same holder changes nothing.

        The stream is started in the background and brought back whenever it ends, until the last lease is released.
        One that has failed is tried again at once.
        """
        held = self._held.get(camera)
        if held is None:
            assert self._tg is not None, "acquire outside run"  # noqa: S101 - wiring
            held = self._held[camera] = HeldStream(camera)
            self._tg.start_soon(self._keep, held)
            self._leased.set()
            self._leased = anyio.Event()
        held.holders.add(holder)
        if held.state is StreamState.ERROR:
            held.became(StreamState.STARTING)
            held.wanted.set()

    def release(self, camera: CameraId, holder: str) -> bool:
        """Take the lease back; whether the stream goes on for others."""
        held = self._held.get(camera)
        if held is None:
            return False
        held.holders.discard(holder)
        if held.holders:
            return True
        del self._held[camera]
        held.scope.cancel()
        held.became(StreamState.INACTIVE, held.problem)  # whoever waits for it need not wait any longer
        return False

    def has_lease(self, camera: CameraId, holder: str) -> bool:
        held = self._held.get(camera)
        return held is not None and holder in held.holders

    async def wait_live(self, camera: CameraId) -> None:
        """Return when the leased stream is live.

        Raises:
            AgentError: why it could not be started, at the first failed attempt, or `stopped`.
        """
        if (held := self._held.get(camera)) is None:
            raise stopped()
        await held.wait_live()

    async def wait_change(self, camera: CameraId) -> None:
        """Return when the leased stream's state changes next; at once where nobody has a lease."""
        held = self._held.get(camera)
        if held is not None:
            await held.changed.wait()

    async def wait_leased(self) -> None:
        """Return when a stream that nobody had a lease on is leased next."""
        await self._leased.wait()

    @asynccontextmanager
    async def lease(self, camera: CameraId, holder: str) -> AsyncIterator[None]:
        """Keep the camera's stream live for as long as the context is open.

        Raises:
            AgentError: it could not be started.
        """
        self.acquire(camera, holder)
        try:
            await self.wait_live(camera)
            yield
        finally:
            self.release(camera, holder)

    async def _keep(self, held: HeldStream) -> None:
        """Hold the stream, again and again with growing pauses, until the last lease is released."""
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        with held.scope, self.publishers.lease(held.camera):
            while True:
                status = LiveStatus(held, self._sessions)
                try:
                    camera = self.camera(held.camera)
                    url = await self.ensure(camera)
                    hold = hold_of(url, self._link.require().credentials, self._settings.start_timeout_s)
                    if self.plan.mode(camera) is PublishMode.AGENT:
                        await self.publishers.wait_live(camera.id)
                    await hold.run(task_status=status)
                except AgentError as error:
                    fields = {"camera": held.camera, "reason": error.reason}
                    _log.warning("the stream is not live: %s", error.details, extra={"fields": fields})
                    held.became(StreamState.ERROR, error)
                    self._link.doubt_after(error)
                finally:
                    status.ended()
                if status.was_live:
                    pauses.reset()
                if await held.pause(pauses.next_s(), self._clock):
                    pauses.reset()

    # Publishers that the agent runs.

    def _runner(self, camera: CameraId) -> PublisherRunner:
        def on_live() -> None:
            if (held := self._held.get(camera)) is not None:
                held.wanted.set()

        return PublisherRunner(
            camera,
            prepare=lambda: self._publish_command(camera),
            look=lambda: self.runtime(camera),
            start_timeout_s=self._settings.start_timeout_s,
            on_live=on_live,
            clock=self._clock,
        )

    async def _publish_command(self, id_: CameraId) -> tuple[str, ...]:
        camera = self.camera(id_)
        publisher = self.plan.command(camera)
        url = await self.ensure(camera)
        assert publisher is not None  # noqa: S101 - what mode AGENT means
        return publish_command(publisher, url)

    async def _is_read(self, camera: CameraId) -> bool:
        try:
            return self.viewers(await self.runtime(camera)) > 0
        except AgentError:
            return False

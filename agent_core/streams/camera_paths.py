"""Paths of the cameras at the media server: their configuration and their observed state."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, MediaServerError, MediaServerRefused
from agent_core.base.models import Camera, CameraId
from agent_core.mediamtx import ServerLink
from agent_core.mediamtx.paths import PathCounters, PathDeferred, without_recording
from agent_core.mediamtx.schema import PathConf, RuntimePath
from agent_core.streams.bitrate import BitrateMeter
from agent_core.streams.plan import PathPlan
from agent_core.streams.sightings import Sightings
from agent_core.streams.traffic import TrafficMeter

__all__ = ("CameraPaths", "SeenPath")


@dataclass(frozen=True, slots=True)
class SeenPath:
    """State of a path `age_s` seconds ago.

    `path` is None if the server had none. `age_s` is None if the server has never answered.
    """

    path: RuntimePath | None
    age_s: float | None


class CameraPaths:
    """Creates, configures and reads the path of each camera. Owns no tasks; safe to call from any task.

    Args:
        link: the media server.
        camera: returns the camera of an id as it is now; raises NotFound.
        plan: decides how each camera's stream reaches its path.
    """

    def __init__(
        self, link: ServerLink, *, camera: Callable[[str], Camera], plan: PathPlan, clock: Clock
    ) -> None:
        self._link = link
        self.camera = camera
        self.plan = plan
        self._clock = clock
        self._recording: dict[CameraId, PathConf] = {}
        #: Readers that are the agent itself, including those that are being torn down.
        self._own_readers: Counter[CameraId] = Counter()
        self._ensured: set[CameraId] = set()
        #: Cameras whose recording this agent has decided on. Others may still record for an agent that was killed.
        self._decided: set[CameraId] = set()
        self._meters: defaultdict[CameraId, BitrateMeter] = defaultdict(BitrateMeter)
        self._seen: dict[CameraId, tuple[RuntimePath | None, float]] = {}
        self.sightings = Sightings()
        self.traffic = TrafficMeter(viewers=self.viewers, is_ours=self._ensured.__contains__)

    @property
    def ensured(self) -> frozenset[CameraId]:
        """The cameras whose paths this agent has made or checked since its start, and not removed."""
        return frozenset(self._ensured)

    @property
    def counters(self) -> Mapping[str, PathCounters]:
        """The counters of each path that this agent has configured; from memory."""
        return self._link.path_counters

    async def ensure(self, camera: Camera) -> str:
        """Create or repair the camera's path at the server; return the stream's RTSP URL for this host.

        A recording of the path that the agent has not started ends.

        Raises:
            MediaServerError: the server refused or does not answer.
            Unsupported, CaptureFailed: the camera cannot be streamed.
        """
        self._link.require()
        self._decided.add(camera.id)
        return await self._ensure(camera)

    async def _ensure(self, camera: Camera) -> str:
        server = self._link.require()
        conf = self._desired(camera)
        self._ensured.add(camera.id)
        with suppress(PathDeferred):  # the stream has readers: leave it as it is
            await server.paths.ensure(camera.id, conf, leave_recording=camera.id not in self._decided)
        return f"{server.endpoints.rtsp_url}/{camera.id}"

    async def configured(self) -> Mapping[str, PathConf]:
        """Return the configuration of all paths of the server by name, read in one call.

        Raises:
            MediaServerError, Unsupported: no server answers.
        """
        try:
            return {conf.name: conf for conf in await self._link.require().client.list_path_configs()}
        except MediaServerError as error:
            self._link.doubt_after(error)
            raise

    async def keep(self, camera: Camera, shown: PathConf | None) -> None:
        """Create or repair the camera's path if `shown`, as the server returned it, is not as planned.

        Calls the server only then. A recording that this agent has not decided on goes on.

        Raises:
            MediaServerError, Unsupported, CaptureFailed: as `ensure`.
        """
        wanted = self._desired(camera)
        if camera.id not in self._decided:
            wanted = without_recording(wanted)
        if shown is None or wanted.missing_from(shown) != PathConf():
            await self._ensure(camera)
        self._ensured.add(camera.id)

    async def withdraw(self, camera: CameraId) -> None:
        """Remove the path of a camera that is gone, unless the path is still live.

        Raises:
            MediaServerError, Unsupported: no server answers.
            InvalidState: the path is live.
        """
        await self._link.require().paths.withdraw(camera)
        self._ensured.discard(camera)

    async def remove(self, camera: CameraId) -> None:
        """Remove the path of a camera that was removed, and end its stream.

        Raises:
            MediaServerError, Unsupported: no server answers.
        """
        await self._link.require().paths.remove(camera)
        self._ensured.discard(camera)

    def _desired(self, camera: Camera) -> PathConf:
        recording = self._recording.get(camera.id, PathConf(record=False))
        return self.plan.conf(camera, recording, rtsp_url=self._link.require().endpoints.rtsp_url)

    async def set_recording(self, camera: Camera, conf: PathConf | None) -> None:
        """Record the camera's path as `conf` says; None stops recording.

        Costs one PATCH, without interrupting the stream, where the path exists. The setting is kept, also after an
        error: `ensure` applies it whenever the path is made again.

        Raises:
            MediaServerError: the server refused or does not answer.
        """
        self._decided.add(camera.id)
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
        """Return the path's current state; None if the server has no such path.

        Raises:
            MediaServerError, Unsupported: no server answers.
        """
        path = await self._link.require().client.path(camera)
        now_s = self._clock.monotonic_s()
        self._meters[camera].saw(now_s, path)
        self.sightings.saw(camera, path, now_s)
        self.traffic.saw(camera, path, now_s)
        return path

    async def last_seen(self, camera: CameraId) -> SeenPath:
        """Return the path's current state, or this method's last result while the server does not answer."""
        now_s = self._clock.monotonic_s()
        try:
            path = await self.runtime(camera)
        except AgentError:
            if camera not in self._seen:
                return SeenPath(None, None)
            path, seen_s = self._seen[camera]
            return SeenPath(path, now_s - seen_s)
        self._seen[camera] = (path, now_s)
        return SeenPath(path, 0.0)

    async def all_runtime(self) -> tuple[RuntimePath, ...]:
        """Return all paths of the server, including those that belong to no camera.

        Raises:
            MediaServerError, Unsupported: no server answers.
        """
        paths = await self._link.require().client.list_paths()
        now_s = self._clock.monotonic_s()
        self.sightings.saw_all(paths, now_s)
        self.traffic.saw_all(paths, now_s)
        for path in paths:
            if self._own_readers[camera := CameraId(path.name)] > 0:
                self._meters[camera].saw(now_s, path)
        return paths

    def bitrate(self, camera: CameraId) -> float | None:
        """Return the bits per second that the server receives, measured between reads; None if unknown."""
        return self._meters[camera].bits_per_s

    def viewers(self, path: RuntimePath | None) -> int:
        """Count the readers of the path without the agent's own."""
        if path is None:
            return 0
        return max(0, len(path.readers) - self._own_readers[CameraId(path.name)])

    @contextmanager
    def own_reader(self, camera: CameraId) -> Iterator[None]:
        """Count one reader of the camera's path as the agent's own while the context is open."""
        self._own_readers[camera] += 1
        try:
            yield
        finally:
            self._own_readers[camera] -= 1

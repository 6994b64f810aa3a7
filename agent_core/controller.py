"""The use cases that need more than one collaborator. A question that only one can answer is asked of it directly."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError
from agent_core.base.events import EventBus
from agent_core.base.models import Camera, CameraId, CameraStatus, Picture, PictureFormat
from agent_core.cameras.monitor import CameraMonitor
from agent_core.cameras.registry import CameraRegistry
from agent_core.config import SnapshotsConfig
from agent_core.health import HealthMonitor
from agent_core.mediamtx.schema import RuntimePath
from agent_core.plugin import jpeg
from agent_core.plugin_host.manager import PluginManager
from agent_core.plugin_host.models import PluginState, PluginStatus
from agent_core.plugin_host.supervisor import Supervisor
from agent_core.recordings import RecordingManager
from agent_core.recordings.store import RecordingStore
from agent_core.snapshots import SnapshotManager, Still
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.images import Wanted
from agent_core.snapshots.models import Snapshot, SnapshotRequest
from agent_core.snapshots.store import SnapshotStore
from agent_core.streams import StreamManager

__all__ = ("Controller", "Readiness", "SeenPath", "SystemStatus")


class Readiness(StrEnum):
    STARTING = "starting"
    PARTIAL = "partial"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """How far the agent is. `problems` are what keeps it from being whole, each with reason and suggestion."""

    readiness: Readiness
    message: str
    available: tuple[Camera, ...]
    discovery_active: bool
    problems: tuple[AgentError, ...]


@dataclass(frozen=True, slots=True)
class SeenPath:
    """A path of the media server, None if it has none, as it was `age_s` ago; never seen where that is None."""

    path: RuntimePath | None
    age_s: float | None


class Controller:
    """What the API calls. Owns nothing: the composition root made its collaborators and ends them."""

    def __init__(
        self,
        *,
        cameras: CameraRegistry,
        monitor: CameraMonitor,
        snapshots: SnapshotManager,
        converter: PictureConverter,
        store: SnapshotStore,
        streams: StreamManager,
        recordings: RecordingManager,
        recording_files: RecordingStore,
        health: HealthMonitor,
        supervisor: Supervisor,
        plugins: PluginManager,
        problems: Sequence[AgentError],
        events: EventBus,
        clock: Clock,
        defaults: SnapshotsConfig,
    ) -> None:
        self.cameras = cameras
        self.snapshots = snapshots
        self._converter = converter
        self.store = store
        self.streams = streams
        self.recordings = recordings
        self.recording_files = recording_files
        self.health = health
        self.started_s = clock.monotonic_s()
        self._seen_paths: dict[CameraId, tuple[RuntimePath | None, float | None]] = {}
        self.supervisor = supervisor
        self.plugins = plugins
        self.clock = clock
        self._monitor = monitor
        self._problems = tuple(problems)
        self._events = events
        self._defaults = defaults

    async def take_snapshot(self, device: str, request: SnapshotRequest) -> Snapshot:
        """Photograph, convert, store and announce.

        Raises:
            InvalidParams, NotFound: no such camera, or a name that cannot be used.
            InvalidState: the name exists.
            CaptureFailed: no tier could take the picture, or it could not be converted; in time, or at all.
            RateLimited: `busy`: too many pictures wait to be converted.
            StorageFailed: it could not be stored.
        """
        camera = self.cameras.get(device)
        if request.name is not None:
            self.store.check_name(request.name, request.format)
        deadline_s = _first(request.deadline_ms, self._defaults.deadline_ms) / 1000
        ends_s = self.clock.monotonic_s() + deadline_s
        still = await self.snapshots.take(
            camera,
            max_age_s=_first(request.max_age_ms, self._defaults.max_age_ms) / 1000,
            deadline_s=deadline_s,
        )
        wanted = Wanted(
            request.format, request.width, request.height, request.quality, self._defaults.quality
        )
        picture = await self._converter.convert(still.picture, wanted, deadline_s=ends_s, user=request.user)
        snapshot = await self._store(camera, still, picture, request.name)
        self._events.publish("snapshot.taken", snapshot)
        return snapshot

    async def _store(self, camera: Camera, still: Still, picture: Picture, name: str | None) -> Snapshot:
        taken_at = self.clock.now()
        age_s = max(0.0, self.clock.monotonic_s() - picture.captured_s)
        captured_at = taken_at - timedelta(seconds=age_s)
        data = picture.data
        if picture.format is PictureFormat.JPG:
            data = jpeg.with_capture_time(data, captured_at)
        stored = await self.store.save(camera.id, name, data, picture.format, taken_at)
        return Snapshot(
            camera=camera.id,
            name=stored.name,
            path=stored.path,
            size_bytes=stored.size_bytes,
            width=picture.width,
            height=picture.height,
            format=picture.format,
            tier_rank=still.rank,
            tier_name=still.tier,
            duration_s=still.duration_s,
            captured_at=captured_at,
            captured_at_source=picture.captured_at_source,
            age_s=age_s,
            taken_at=taken_at,
            settled=picture.settled,
            tiers_tried=still.attempts,
        )

    async def stream_path(self, camera: CameraId) -> SeenPath:
        """The camera's path at the media server, or, where that does not answer, as it was seen last."""
        now_s = self.clock.monotonic_s()
        try:
            path = await self.streams.runtime(camera)
        except AgentError:
            path, seen_s = self._seen_paths.get(camera, (None, None))
            return SeenPath(path, None if seen_s is None else now_s - seen_s)
        self._seen_paths[camera] = (path, now_s)
        return SeenPath(path, 0.0)

    def system_status(self) -> SystemStatus:
        """Answered from memory, from the first moment on."""
        discovery = self._monitor.discovery
        failed = [status for status in self.plugins.statuses if status.state is not PluginState.LOADED]
        components = (self.supervisor.problem(name) for name in self.supervisor.states)
        problems = (*self._problems, *discovery.problems, *(each for each in components if each))
        available = tuple(each for each in self.cameras.list() if each.status is CameraStatus.CONNECTED)
        readiness = Readiness.READY
        if failed or problems or discovery.active:
            readiness = Readiness.PARTIAL
        if discovery.active and not available and not discovery.any_settled:
            readiness = Readiness.STARTING
        message = _message(
            active=discovery.active,
            any_source=bool(discovery.sources),
            cameras=len(available),
            failed=failed,
            problems=problems,
        )
        return SystemStatus(readiness, message, available, discovery.active, problems)


def _first(value: int | None, default: int) -> int:
    return default if value is None else value


def _message(
    *,
    active: bool,
    any_source: bool,
    cameras: int,
    failed: Sequence[PluginStatus],
    problems: Sequence[AgentError],
) -> str:
    if not any_source:
        said = ["No camera source is enabled, so there are no cameras."]
    else:
        said = [f"{cameras} camera{'' if cameras == 1 else 's'} connected."]
    if active:
        said.append("Looking for cameras.")
    said += [f"Plugin {each.name}: {each.details}" for each in failed]
    said += [each.details for each in problems]
    return " ".join(said)

"""Controller of the agent: one method per use case of `api` and `web`, which use nothing else of it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from agent_core.base.clock import Clock
from agent_core.base.controls import ControlChange, ControlValue
from agent_core.base.errors import AgentError
from agent_core.base.events import EventBus
from agent_core.base.listing import Page
from agent_core.base.models import Camera, CameraId, CameraStatus
from agent_core.cameras import CameraControls, CameraMonitor, CameraRegistry
from agent_core.cameras.gates import admitted
from agent_core.controller.models import (
    AgentMetrics,
    CameraDetails,
    CameraMetrics,
    CameraView,
    ChangedCameraControls,
    Readiness,
    Reloaded,
    ServerInfo,
    StatusReport,
    SystemStatus,
    status_message,
)
from agent_core.health import HealthMonitor
from agent_core.health.disks import DiskWatch
from agent_core.health.host import HostSampler
from agent_core.media.downloads import Described, Downloads, Opened, Served
from agent_core.media.retention import Plan, RetentionPolicy
from agent_core.media.thumbnails import Thumbnails
from agent_core.plugin_host.manager import PluginManager
from agent_core.plugin_host.models import PluginState
from agent_core.plugin_host.supervisor import ComponentState, Supervisor
from agent_core.recordings import RecordingManager, RecordingStore
from agent_core.recordings.deletion import delete_recording
from agent_core.recordings.models import (
    Cleanup,
    ListedRecording,
    RecordingDetails,
    RecordingFormat,
    RecordingState,
    StartedRecording,
    Stopped,
    StorageInfo,
    StoredRecording,
)
from agent_core.recordings.retention import Retention
from agent_core.recordings.storage import Storage
from agent_core.recordings.tracks import choice_for
from agent_core.snapshots import SnapshotService
from agent_core.snapshots.ladder import require_connected
from agent_core.snapshots.live import LiveFeed, LiveFeeds
from agent_core.snapshots.models import Snapshot, SnapshotDetails, SnapshotRequest, StoredFile, TakenPicture
from agent_core.streams import StreamService
from agent_core.streams.models import (
    ServerStream,
    StartedStream,
    StoppedStream,
    StreamAddress,
    StreamStatus,
    WhepAnswer,
    WhepRequest,
)
from agent_core.streams.whep import WhepRelay

__all__ = ("Controller", "Services")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services that the controller uses. `reload` reloads the configuration; `problems` were found before anything ran."""

    cameras: CameraRegistry
    monitor: CameraMonitor
    controls: CameraControls
    snapshots: SnapshotService
    feeds: LiveFeeds
    streams: StreamService
    whep: WhepRelay
    recordings: RecordingManager
    recording_files: RecordingStore
    downloads: Downloads
    storage: Storage
    retention: Retention
    thumbnails: Thumbnails
    health: HealthMonitor
    disks: DiskWatch
    host: HostSampler
    events: EventBus
    supervisor: Supervisor
    plugins: PluginManager
    reload: Callable[[], Awaitable[Reloaded]]
    clock: Clock
    safe_mode: bool = False
    problems: tuple[AgentError, ...] = ()


class Controller:
    """Implements the use cases of clients. The composition root creates, owns and ends the services.

    Methods that take a `device` raise NotFound if the camera does not exist. Errors of services pass through.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._started_s = services.clock.monotonic_s()
        self._basis: object = None
        self._views: tuple[CameraView, ...] = ()

    # Cameras.

    def cameras(self) -> tuple[CameraView, ...]:
        """Return all cameras, disconnected ones included; from memory."""
        cameras, media = self._services.cameras.list(), self._services.streams.addresses
        recording = [self._services.recordings.active(camera.id) is not None for camera in cameras]
        tracks = [self._services.streams.tracks(camera) for camera in cameras]
        basis = cameras, media, recording, tracks
        if basis != self._basis:  # clients ask often, and this rarely changes
            self._basis = basis
            self._views = tuple(
                CameraView(camera, media, is_recording, known)
                for camera, is_recording, known in zip(cameras, recording, tracks, strict=True)
            )
        return self._views

    def camera(self, device: str) -> CameraView:
        """Return one camera; from memory."""
        return self.view_of(self._services.cameras.get(device))

    def view_of(self, camera: Camera) -> CameraView:
        """Return `camera`, for example from an event, as clients see it now."""
        is_recording = self._services.recordings.active(camera.id) is not None
        tracks = self._services.streams.tracks(camera)
        return CameraView(camera, self._services.streams.addresses, is_recording, tracks)

    async def camera_details(self, device: str) -> CameraDetails:
        """Return one camera with the media server's counters for it, the last known ones if it does not answer."""
        camera = self._services.cameras.get(device)
        traffic = await self._services.streams.traffic(camera.id)
        return CameraDetails(self.view_of(camera), traffic, self._uptime_s(camera))

    def kept_controls(self, device: str) -> Mapping[str, ControlValue]:
        """Return the control values that the agent keeps for a camera; from memory."""
        return self._services.controls.kept(self._services.cameras.get(device).id)

    async def set_controls(self, device: str, change: ControlChange) -> ChangedCameraControls:
        """Set a camera's controls, and keep the values. Raises as `CameraControls.change`."""
        camera = self._services.cameras.get(device)
        done = await self._services.controls.change(camera.id, change)
        return ChangedCameraControls(camera.id, done.changed.outcomes, done.is_stored)

    def _uptime_s(self, camera: Camera) -> float:
        connected = camera.status is CameraStatus.CONNECTED
        return self._services.clock.monotonic_s() - camera.since_s if connected else 0.0

    def _camera_id(self, device: str | None) -> CameraId | None:
        return self._services.cameras.get(device).id if device else None

    async def _to_open(self, device: str) -> Camera:
        """Return one camera. One that does not work is looked at anew: it may be well again, or tell why it is not."""
        camera = self._services.cameras.get(device)
        if camera.status is CameraStatus.CONNECTED or camera.detected.gate is None:
            return camera
        await admitted(camera)
        return self._services.cameras.get(device)

    # Snapshots.

    async def take_snapshot(self, device: str, request: SnapshotRequest) -> Snapshot:
        """Take, convert, store and announce a picture. Raises as `SnapshotService.take`."""
        return await self._services.snapshots.take(await self._to_open(device), request)

    async def take_picture(self, device: str, request: SnapshotRequest) -> TakenPicture:
        """Take and convert a picture without storing it. Raises as `SnapshotService.picture`."""
        return await self._services.snapshots.picture(await self._to_open(device), request)

    def require_connected(self, device: str) -> None:
        """Check that a camera is not disconnected; from memory. Raises CaptureFailed."""
        require_connected(self._services.cameras.get(device))

    @asynccontextmanager
    async def view(self, device: str, width: int | None) -> AsyncIterator[LiveFeed]:
        """Give a camera's live pictures, no wider than `width` pixels. Raises as `LiveFeeds.view`."""
        async with self._services.feeds.view(await self._to_open(device), width) as feed:
            yield feed

    async def list_snapshots(self, device: str | None, *, offset: int, limit: int) -> Page[StoredFile]:
        """Return a page of all snapshots, or of one camera's, newest first."""
        return await self._services.snapshots.page(self._camera_id(device), offset=offset, limit=limit)

    async def snapshot_info(self, name: str) -> SnapshotDetails:
        """Return one stored snapshot."""
        return await self._services.snapshots.details(name)

    async def delete_snapshot(self, name: str) -> StoredFile:
        """Delete one stored snapshot; return it as it was."""
        return await self._services.snapshots.delete(name)

    # Recordings.

    async def start_recording(
        self, device: str, *, duration_s: float | None, form: RecordingFormat | None, wait: bool
    ) -> StartedRecording:
        """Start recording a camera; with `wait`, return when bytes are on disk. Raises as `RecordingManager.start`.

        Without `form`, the format is the one that holds the data of the camera. Old files go first if the disk is below its
        floor.
        """
        camera = await self._to_open(device)
        await self._services.storage.make_room()
        choice = choice_for(self._services.streams, camera, form)
        active = await self._services.recordings.start(
            camera, duration_s=duration_s, form=choice.format, wait=wait
        )
        if wait and not choice.notes:
            await self._services.streams.traffic(camera.id)  # the answer has the tracks of what is live now
        notes = choice.notes or choice_for(self._services.streams, camera, choice.format).notes
        return StartedRecording(active.note, active.state, notes)

    async def stop_recording(self, device: str) -> Stopped:
        """Stop recording a camera. Raises InvalidState if it is not recording."""
        return await self._services.recordings.stop(self._services.cameras.get(device).id)

    async def list_recordings(self, device: str | None, *, offset: int, limit: int) -> Page[ListedRecording]:
        """Return a page of all recordings, or of one camera's, newest first."""
        return await self._services.recording_files.page(self._camera_id(device), offset=offset, limit=limit)

    async def recording_info(self, recording_id: str) -> RecordingDetails:
        """Return one stored recording."""
        stored = await self._services.recording_files.find(recording_id)
        durations_s = await self._services.recording_files.durations_s(stored)
        active = self._services.recordings.active(CameraId(stored.note.camera))
        if active is None or active.note.id != stored.note.id:
            is_complete = stored.note.ended_at is not None
            waits = not is_complete and self._services.recordings.is_expected(stored)
            reason = "suspended" if waits else stored.note.reason
            return RecordingDetails(stored, tuple(durations_s), is_complete, reason)
        problem = active.problem if active.state is RecordingState.ERROR else None
        reason = stored.note.reason or (problem.reason if problem else "")
        return RecordingDetails(stored, tuple(durations_s), is_complete=False, reason=reason)

    async def delete_recording(self, recording_id: str) -> StoredRecording:
        """Delete one recording that has ended; return it as it was. Raises as `recordings.deletion`."""
        return await delete_recording(self._services.recordings, self._services.recording_files, recording_id)

    # Storage.

    async def storage_info(self) -> StorageInfo:
        """Return the room for recordings, and the totals of stored media. Raises StorageFailed."""
        return await self._services.storage.info()

    async def retention(self) -> tuple[RetentionPolicy | None, Plan]:
        """Return the policy, None if none was ever set, and the limits in force."""
        return await self._services.retention.state()

    async def set_retention_policy(self, policy: RetentionPolicy) -> Plan:
        """Set the policy; return the limits that are in force now. Raises StorageFailed if it cannot be stored."""
        return await self._services.retention.set_policy(policy)

    async def clean_up(self) -> Cleanup:
        """Delete what the limits exclude. Raises as `Retention.cleanup`."""
        return await self._services.retention.cleanup()

    # Streams.

    async def start_streaming(self, device: str, *, holder: str) -> StartedStream:
        """Keep the camera's stream live for `holder`. Raises as `StreamService.start`."""
        return await self._services.streams.start(await self._to_open(device), holder)

    async def stop_streaming(self, device: str, *, holder: str) -> StoppedStream:
        """End the hold of `holder`. Raises InvalidState if it has none."""
        return await self._services.streams.stop(self._services.cameras.get(device), holder)

    def release_stream(self, camera: CameraId, *, holder: str) -> None:
        """End the hold of a `holder` that has left, if it has one."""
        self._services.streams.release(camera, holder)

    async def stream_address(self, device: str) -> StreamAddress:
        """Return the address of a camera's stream. Raises as `StreamService.address`."""
        return await self._services.streams.address(self._services.cameras.get(device))

    async def stream_status(self, device: str) -> StreamStatus:
        """Return the status of a camera's stream. Raises MediaServerError or Unsupported."""
        return await self._services.streams.status(self._services.cameras.get(device))

    async def streams(self) -> tuple[ServerStream, ...]:
        """Return all streams of the media server. Raises MediaServerError or Unsupported."""
        return await self._services.streams.all()

    async def relay_whep(self, device: str, request: WhepRequest) -> WhepAnswer:
        """Relay the signalling of a WebRTC client to the media server. Raises as `WhepRelay.relay`."""
        return await self._services.whep.relay(await self._to_open(device), request)

    # The agent.

    def now(self) -> datetime:
        """Return the time in UTC."""
        return self._services.clock.now()

    def status(self) -> StatusReport:
        """Return the agent's health; from memory."""
        uptime_s = self._services.clock.monotonic_s() - self._started_s
        return StatusReport(self._services.health.report, uptime_s, self._services.safe_mode)

    async def prepare_metrics(self) -> None:
        """Have a sample of the host's load, taken in a worker thread if the last one is of long ago."""
        await self._services.host.prepare()

    def metrics(self) -> AgentMetrics:
        """Return the numbers of all services; from memory."""
        services = self._services
        return AgentMetrics(
            host=services.host.load,
            disk=services.disks.rooms.get("recordings"),
            cameras=self._camera_metrics(),
            totals=services.streams.totals,
            recordings=services.recordings.meter.metrics,
            tiers=services.snapshots.metrics,
            paths=services.streams.path_counters,
            health=services.health.report,
            breaker=services.health.breaker,
            events_published=services.events.published,
            events_dropped=services.events.dropped,
        )

    def _camera_metrics(self) -> tuple[CameraMetrics, ...]:
        services = self._services
        cameras = services.cameras.list()
        traffic = services.streams.traffic_of(each.id for each in cameras)
        return tuple(
            CameraMetrics(
                each,
                services.recordings.active(each.id) is not None,
                traffic[each.id],
                self._uptime_s(each),
            )
            for each in cameras
        )

    async def server_info(self) -> ServerInfo:
        """Return the capabilities and plugins of this agent."""
        services = self._services
        has_streams = services.streams.has_server
        return ServerInfo(
            has_snapshots=bool(services.snapshots.tiers),
            has_streams=has_streams,
            has_recordings=has_streams and await services.recording_files.is_local(),
            protocols=services.streams.addresses.served,
            plugins=tuple(services.plugins.statuses),
            safe_mode=services.safe_mode,
        )

    def ready(self) -> bool:
        """Return True once the agent is ready for clients; from memory."""
        return self.system_status().readiness is not Readiness.STARTING

    def open_download(self, kind: str, name: str) -> tuple[Served, Opened]:
        """Open a file for sending. Raises as `Downloads.open`; blocks on the disk: call it in a worker thread."""
        return self._services.downloads.open(kind, name)

    def has_recording_thumbnails(self) -> bool:
        """Return True if a plugin decodes recordings."""
        return self._services.thumbnails.can_make("recordings")

    async def open_thumbnail(self, name: str) -> tuple[Described, Opened]:
        """Open a thumbnail, or make it. Raises as `Thumbnails.open`."""
        return await self._services.thumbnails.open(name)

    async def reload_configuration(self) -> Reloaded:
        """Apply changes of the configuration. Raises ConfigError, and then nothing has changed."""
        return await self._services.reload()

    def system_status(self) -> SystemStatus:
        """Return the agent's progress at start; from memory."""
        services, discovery = self._services, self._services.monitor.discovery
        failed = [status for status in services.plugins.statuses if status.state is not PluginState.LOADED]
        components = (services.supervisor.problem(name) for name in services.supervisor.states)
        stores = (services.controls.problem, services.health.media_server_problem)
        found = (*services.problems, *discovery.problems, *components, *stores)
        problems = tuple({each.details: each for each in found if each}.values())  # each fault once
        is_server_starting = services.health.media_server is ComponentState.STARTING
        available = tuple(each for each in services.cameras.list() if each.status is CameraStatus.CONNECTED)
        readiness = Readiness.READY
        if failed or problems or discovery.active or is_server_starting:
            readiness = Readiness.PARTIAL
        if discovery.active and not available and not discovery.any_settled:
            readiness = Readiness.STARTING
        message = status_message(
            active=discovery.active,
            is_server_starting=is_server_starting,
            any_source=bool(discovery.sources),
            cameras=len(available),
            failed=failed,
            problems=problems,
        )
        return SystemStatus(readiness, message, available, discovery.active, problems)

"""Snapshots from the request to the stored file: capture, conversion, storage, event."""

from dataclasses import dataclass
from datetime import timedelta

from agent_core.base.clock import Clock
from agent_core.base.events import EventBus
from agent_core.base.listing import Page
from agent_core.base.metrics import MetricRegistry
from agent_core.base.models import Camera, CameraId, PictureFormat
from agent_core.config import SnapshotsConfig
from agent_core.plugin import SnapshotTier, jpeg
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.images import Wanted
from agent_core.snapshots.ladder import SnapshotLadder
from agent_core.snapshots.metrics import TierMetrics, add_tier_metrics
from agent_core.snapshots.models import Snapshot, SnapshotDetails, SnapshotRequest, StoredFile, TakenPicture
from agent_core.snapshots.store import SnapshotStore

__all__ = ("SnapshotService",)


@dataclass(eq=False, slots=True, kw_only=True)
class SnapshotService:
    """Takes, stores and finds snapshots. The composition root prepares `store` and runs `converter`.

    Args:
        ladder: captures stills by the cheapest tier that works in time.
        converter: changes format, size and quality.
        store: keeps the files.
        defaults: values for settings that a request leaves out; may be replaced at any time.
    """

    ladder: SnapshotLadder
    converter: PictureConverter
    store: SnapshotStore
    defaults: SnapshotsConfig
    events: EventBus
    clock: Clock

    @property
    def tiers(self) -> tuple[SnapshotTier, ...]:
        """Return the tiers of the ladder, lowest rank first."""
        return self.ladder.tiers

    @property
    def metrics(self) -> tuple[TierMetrics, ...]:
        """Return the counters and durations of each tier, lowest rank first; from memory."""
        return self.ladder.metrics

    def add_metrics(self, registry: MetricRegistry) -> None:
        """Describe what the tiers did."""
        add_tier_metrics(registry, lambda: self.metrics)

    async def take(self, camera: Camera, request: SnapshotRequest) -> Snapshot:
        """Capture, convert and store a picture; publish `snapshot.taken`.

        Raises:
            InvalidParams: the name cannot be used.
            InvalidState: a snapshot of that name exists.
            CaptureFailed: no tier took the picture, or the conversion failed or missed the deadline.
            RateLimited: `busy`: too many pictures wait to be converted.
            StorageFailed: the file cannot be written.
        """
        if request.name is not None:
            self.store.check_name(request.name, request.format)
        snapshot = await self._store(camera, await self.picture(camera, request), request.name)
        self.events.publish("snapshot.taken", snapshot, camera=snapshot.camera)
        return snapshot

    async def picture(self, camera: Camera, request: SnapshotRequest) -> TakenPicture:
        """Capture and convert a picture, without storing it; the name of the request does not count.

        Raises:
            CaptureFailed: no tier took the picture, or the conversion failed or missed the deadline.
            RateLimited: `busy`: too many pictures wait to be converted.
        """
        deadline_s = _first(request.deadline_ms, self.defaults.deadline_ms) / 1000
        ends_s = self.clock.monotonic_s() + deadline_s
        max_age_s = _first(request.max_age_ms, self.defaults.max_age_ms) / 1000
        still = await self.ladder.take(camera, max_age_s=max_age_s, deadline_s=deadline_s)
        wanted = Wanted(request.format, request.width, request.height, request.quality, self.defaults.quality)
        picture = await self.converter.convert(still.picture, wanted, deadline_s=ends_s, user=request.user)
        taken_at = self.clock.now()
        age_s = max(0.0, self.clock.monotonic_s() - picture.captured_s)
        return TakenPicture(
            picture,
            still.rank,
            still.tier,
            still.duration_s,
            taken_at - timedelta(seconds=age_s),
            age_s,
            taken_at,
            still.attempts,
        )

    async def _store(self, camera: Camera, taken: TakenPicture, name: str | None) -> Snapshot:
        picture = taken.picture
        data = picture.data
        if picture.format is PictureFormat.JPG:
            data = jpeg.with_capture_time(data, taken.captured_at)
        stored = await self.store.save(camera.id, name, data, picture.format, taken.taken_at)
        return Snapshot(
            camera=camera.id,
            name=stored.name,
            path=stored.path,
            size_bytes=stored.size_bytes,
            width=picture.width,
            height=picture.height,
            format=picture.format,
            tier_rank=taken.tier_rank,
            tier_name=taken.tier_name,
            duration_s=taken.duration_s,
            captured_at=taken.captured_at,
            captured_at_source=picture.captured_at_source,
            age_s=taken.age_s,
            taken_at=taken.taken_at,
            settled=picture.settled,
            tiers_tried=taken.tiers_tried,
            settlement=picture.settlement,
        )

    async def page(self, camera: CameraId | None, *, offset: int, limit: int) -> Page[StoredFile]:
        """Return a page of all snapshots, or of one camera's, newest first. Raises StorageFailed."""
        return await self.store.page(camera, offset=offset, limit=limit)

    async def delete(self, name: str) -> StoredFile:
        """Delete a stored snapshot; return it as it was. Raises as `SnapshotStore.delete`."""
        return await self.store.delete(name)

    async def details(self, name: str) -> SnapshotDetails:
        """Return a stored snapshot with its size in pixels. Raises NotFound."""
        stored = await self.store.find(name)
        return SnapshotDetails(stored, await self.store.pixels(stored))


def _first(value: int | None, default: int) -> int:
    return default if value is None else value

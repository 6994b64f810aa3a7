"""The parts that keep stored media within limits and tell their room, made and connected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent_core.app.foundation import Foundation
from agent_core.app.reload import Reloads, Taken
from agent_core.app.wiring_media import MediaParts
from agent_core.config import AgentConfig, RecordingsConfig, SnapshotsConfig
from agent_core.health import CheckStatus, HealthMonitor
from agent_core.media.downloads import DirectoryFiles, Downloads
from agent_core.media.retention import Limits, MediaCleaner, PolicyFile
from agent_core.media.retention.policy import DAY_S, POLICY_FILE, bytes_of_gb
from agent_core.recordings.clock_trust import CLOCK_FILE, ClockTrust
from agent_core.recordings.models import RecordingNote
from agent_core.recordings.retention import Retention, Told
from agent_core.recordings.stock import RecordingStock
from agent_core.recordings.storage import Place, Storage, StorageSettings
from agent_core.recordings.store import RecordingStore
from agent_core.snapshots import SnapshotStore
from agent_core.snapshots.stock import SnapshotStock

__all__ = ("StorageParts", "build_storage")

#: Newest recordings that are asked for the time.
_NEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageParts:
    """Downloads, retention and the watch over the room, connected."""

    downloads: Downloads
    retention: Retention
    storage: Storage


def build_storage(foundation: Foundation, media: MediaParts, snapshots: SnapshotStore) -> StorageParts:
    """Make and connect the parts; nothing runs yet."""
    downloads = Downloads({"snapshots": DirectoryFiles(snapshots.root), "recordings": media.files})
    cleaner = MediaCleaner(
        (
            RecordingStock(
                media.files, media.recordings, lambda name: downloads.is_running("recordings", name)
            ),
            SnapshotStock(snapshots, lambda name: downloads.is_running("snapshots", name)),
        )
    )
    retention = _retention(foundation, cleaner, media.files, media.health)
    storage = _storage(foundation, media, snapshots, retention)
    _reload_storage(foundation.reloads, media, retention, storage)
    return StorageParts(downloads=downloads, retention=retention, storage=storage)


def _reload_storage(reloads: Reloads, media: MediaParts, retention: Retention, storage: Storage) -> None:
    def apply_limits(config: AgentConfig) -> Taken:
        return Taken(note=retention.configure(_configured(config)))

    def apply_floors(config: AgentConfig) -> None:
        media.files.min_free_bytes = config.storage.min_free_bytes
        media.disks.configure(low_space_bytes=config.health.low_space_bytes)
        storage.configure(_storage_settings(config))

    for section in ("recordings", "snapshots"):
        reloads.on_change(section, apply_limits)
    for section in ("storage", "health"):
        reloads.on_change(section, apply_floors)


def _configured(config: AgentConfig) -> Mapping[str, Limits]:
    return {"recordings": _limits(config.recordings), "snapshots": _limits(config.snapshots)}


def _storage_settings(config: AgentConfig) -> StorageSettings:
    return StorageSettings(config.storage.min_free_bytes, config.health.low_space_bytes)


def _limits(settings: RecordingsConfig | SnapshotsConfig) -> Limits:
    days, gigabytes = settings.max_age_days, settings.max_size_gb
    return Limits(
        max_age_s=None if days is None else days * DAY_S,
        max_count=settings.max_count,
        max_bytes=None if gigabytes is None else bytes_of_gb(gigabytes),
    )


def _retention(
    foundation: Foundation, cleaner: MediaCleaner, files: RecordingStore, health: HealthMonitor
) -> Retention:
    config, state_dir = foundation.config, foundation.config.storage.state_dir

    async def newest() -> Sequence[RecordingNote]:
        page = await files.page(None, offset=0, limit=_NEWEST)
        return [each.stored.note for each in page.items]

    return Retention(
        cleaner,
        configured=_configured(config),
        file=PolicyFile(state_dir / POLICY_FILE, require=foundation.require_state),
        trust=ClockTrust(state_dir / CLOCK_FILE, require=foundation.require_state),
        newest=newest,
        events=foundation.events,
        told=_told(health),
        clock=foundation.clock,
    )


def _told(health: HealthMonitor) -> Told:
    def clock(problem: str) -> None:
        status = CheckStatus.WARNING if problem else CheckStatus.OK
        health.note("clock", status, problem or "It is trusted: old files are deleted.")

    def policy(problem: str) -> None:
        status = CheckStatus.WARNING if problem else CheckStatus.OK
        health.note("retention", status, problem or "The policy was set.")

    def failure(problem: str) -> None:
        status = CheckStatus.WARNING if problem else CheckStatus.OK
        health.note("cleanup", status, problem or "Old files can be deleted again.")

    return Told(clock, policy, failure)


def _storage(
    foundation: Foundation, media: MediaParts, snapshots: SnapshotStore, retention: Retention
) -> Storage:
    config, volumes = foundation.config, foundation.volumes

    def sizes() -> Mapping[str, int]:
        return {each.note.id: each.measured.size_bytes for each in media.recordings.under_way}

    return Storage(
        Place(media.files.root, volumes.recordings.check, media.files.totals),
        Place(snapshots.root, volumes.snapshots.check, snapshots.totals),
        sizes=sizes,
        make_room=retention.make_room,
        health=media.health,
        settings=_storage_settings(config),
        rate=media.write_rate,
        clock=foundation.clock,
    )

"""Methods about snapshots, and the wire form of snapshots."""

from dataclasses import dataclass

from agent_core.api.examples import snapshots as examples
from agent_core.api.schema.params import Deleted, ListParams, NameParams
from agent_core.api.schema.snapshots import (
    FileForm,
    FileList,
    SnapshotForm,
    SnapshotInfo,
    TakeSnapshotParams,
    TierAttemptForm,
)
from agent_core.auth.links import DownloadLinks, DownloadUrl
from agent_core.auth.roles import Role
from agent_core.base.errors import DependencyFailed, InvalidState, NotFound
from agent_core.controller import Controller
from agent_core.rpc.table import Caller, Method
from agent_core.snapshots.models import Snapshot, SnapshotDetails, SnapshotRequest, StoredFile

__all__ = ("snapshot_form", "snapshot_methods")


def snapshot_form(snapshot: Snapshot, download_url: DownloadUrl) -> SnapshotForm:
    """Return the wire form of a snapshot that was just taken."""
    return SnapshotForm(
        device=snapshot.camera,
        filename=snapshot.name,
        file_path=str(snapshot.path),
        file_size=snapshot.size_bytes,
        resolution=f"{snapshot.width}x{snapshot.height}",
        format=snapshot.format,
        tier_used=snapshot.tier_rank,
        tier_name=snapshot.tier_name,
        capture_time=round(snapshot.duration_s, 6),
        timestamp=snapshot.taken_at,
        captured_at=snapshot.captured_at,
        captured_at_source=snapshot.captured_at_source,
        age_ms=round(snapshot.age_s * 1000),
        settled=snapshot.settled,
        settled_by=snapshot.settlement.by if snapshot.settlement else None,
        settle_ms=round(snapshot.settlement.after_s * 1000) if snapshot.settlement else None,
        tiers_tried=[
            TierAttemptForm(
                tier=each.rank,
                name=each.name,
                reason=each.reason,
                details=each.details,
                ms=round(each.duration_s * 1000),
            )
            for each in snapshot.tiers_tried
        ],
        download_url=download_url("snapshots", snapshot.name),
    )


@dataclass(frozen=True, slots=True)
class _Handlers:
    """Methods about snapshots."""

    controller: Controller
    links: DownloadLinks

    async def take_snapshot(self, params: TakeSnapshotParams, caller: Caller) -> SnapshotForm:
        request = SnapshotRequest(
            name=params.filename,
            format=params.format,
            quality=params.quality,
            width=params.width,
            height=params.height,
            max_age_ms=params.max_age_ms,
            deadline_ms=params.deadline_ms,
            user=caller.principal.user_id if caller.principal else "",
        )
        snapshot = await self.controller.take_snapshot(params.device, request)
        return snapshot_form(snapshot, self.links.offered_to(caller.user))

    async def list_snapshots(self, params: ListParams, caller: Caller) -> FileList:
        page = await self.controller.list_snapshots(params.device, offset=params.offset, limit=params.limit)
        download_url = self.links.offered_to(caller.user)
        return FileList(
            files=[self._file(stored, download_url) for stored in page.items],
            total=page.total,
            limit=params.limit,
            offset=params.offset,
        )

    def _file(self, stored: StoredFile, download_url: DownloadUrl) -> FileForm:
        return FileForm(
            filename=stored.name,
            device=stored.camera,
            file_size=stored.size_bytes,
            modified_time=stored.modified_at,
            format=stored.format,
            download_url=download_url("snapshots", stored.name),
            thumbnail_url=download_url("thumbnails", f"snapshots/{stored.name}.jpg"),
        )

    async def delete_snapshot(self, params: NameParams, caller: Caller) -> Deleted:
        deleted = await self.controller.delete_snapshot(params.filename)
        return Deleted(filename=deleted.name, message="The snapshot was deleted.")

    async def get_snapshot_info(self, params: NameParams, caller: Caller) -> SnapshotInfo:
        details = await self.controller.snapshot_info(params.filename)
        return self._info(details, self.links.offered_to(caller.user))

    def _info(self, details: SnapshotDetails, download_url: DownloadUrl) -> SnapshotInfo:
        stored, size = details.stored, details.size
        return SnapshotInfo(
            filename=stored.name,
            device=stored.camera,
            file_size=stored.size_bytes,
            created_time=stored.modified_at,
            timestamp=stored.modified_at,
            resolution=f"{size[0]}x{size[1]}" if size else "",
            format=stored.format,
            file_path=str(stored.path),
            download_url=download_url("snapshots", stored.name),
            thumbnail_url=download_url("thumbnails", f"snapshots/{stored.name}.jpg"),
        )


def snapshot_methods(controller: Controller, links: DownloadLinks) -> list[Method]:
    """Return the rows of the method table, `take_snapshot` first."""
    do = _Handlers(controller, links)
    return [
        Method(
            "take_snapshot",
            Role.OPERATOR,
            "Take a picture with the fastest tier that works at the moment.",
            TakeSnapshotParams,
            SnapshotForm,
            do.take_snapshot,
            errors=(NotFound, InvalidState, DependencyFailed),
            example=examples.take_snapshot,
        ),
        *_file_methods(do),
    ]


def _file_methods(do: _Handlers) -> list[Method]:
    """Return the rows of the methods about stored snapshots."""
    return [
        Method(
            "list_snapshots",
            Role.VIEWER,
            "List the stored snapshots, newest first.",
            ListParams,
            FileList,
            do.list_snapshots,
            errors=(NotFound, DependencyFailed),
            example=examples.list_snapshots,
        ),
        Method(
            "get_snapshot_info",
            Role.VIEWER,
            "Return one stored snapshot.",
            NameParams,
            SnapshotInfo,
            do.get_snapshot_info,
            errors=(NotFound, DependencyFailed),
            example=examples.get_snapshot_info,
        ),
        Method(
            "delete_snapshot",
            Role.ADMIN,
            "Delete a stored snapshot.",
            NameParams,
            Deleted,
            do.delete_snapshot,
            errors=(NotFound, DependencyFailed),
            example=examples.delete_snapshot,
        ),
    ]

"""Snapshots as retention deletes them: some in one step, and never one that is being sent.

Apart from the store, so that it need not know retention.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from agent_core.base.errors import StorageFailed
from agent_core.base.workers import WorkerPool
from agent_core.media.index import OldEntry
from agent_core.media.retention import Freed, MediaView
from agent_core.media.retention.limits import is_expired
from agent_core.snapshots.store import SnapshotStore

__all__ = ("SnapshotStock",)


class SnapshotStock:
    """Stock of snapshots. See `agent_core.media.retention.Stock`. One that is being written has another name until then.

    Args:
        store: the snapshots.
        is_running: returns True while the snapshot of a name is downloaded.
    """

    kind = "snapshots"

    def __init__(self, store: SnapshotStore, is_running: Callable[[str], bool]) -> None:
        self._store = store
        self._is_running = is_running
        self._thread = WorkerPool(1)

    async def view(self, *, from_folders: bool) -> MediaView | None:
        return await self._store.media.view(from_folders=from_folders)

    async def delete(self, entries: Sequence[OldEntry], *, older_than: datetime | None) -> Freed:
        return await self._thread.run(self._delete, entries, older_than)

    def _delete(self, entries: Sequence[OldEntry], older_than: datetime | None) -> Freed:
        self._store.media.check_writable()
        freed = Freed()
        for each in entries:
            if self._is_running(each.name):
                continue
            try:
                freed += self._delete_one(each, older_than)
            except StorageFailed as error:
                freed += Freed.failure(each, error)
        return freed

    def _delete_one(self, entry: OldEntry, older_than: datetime | None) -> Freed:
        stored = self._store.look_up(entry.camera, entry.file)
        if stored is None or (older_than is not None and not is_expired(stored.modified_at, older_than)):
            return Freed()
        return Freed(1, stored.size_bytes) if self._store.remove(stored) else Freed()

"""A store of snapshots with a running index, and a store of recordings beside it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio

from agent_core.base.clock import Clock, SystemClock
from agent_core.base.listing import Page
from agent_core.base.models import CameraId
from agent_core.base.mounts import is_local
from agent_core.base.volumes import Volume
from agent_core.media.index import INDEX_FILE, MediaIndex, Totals
from agent_core.recordings.models import RecordingFormat, RecordingNote
from agent_core.recordings.store import RecordingStore
from agent_core.snapshots.models import StoredFile
from agent_core.snapshots.store import SnapshotStore

CAMERA = CameraId("camera0")
AT = datetime(2026, 11, 22, 17, 3, 54, tzinfo=UTC)


@dataclass
class Library:
    """Stores below one folder; `index` is their index."""

    folder: Path
    index: MediaIndex
    snapshots: SnapshotStore
    recordings: RecordingStore

    @classmethod
    def at(
        cls,
        folder: Path,
        *,
        clock: Clock | None = None,
        volume: Volume | None = None,
        state: Path | None = None,
        is_local: Callable[[Path], bool] = is_local,
    ) -> "Library":
        index = MediaIndex((state or folder) / INDEX_FILE, clock=clock or SystemClock(), is_local=is_local)
        return cls(
            folder,
            index,
            SnapshotStore(folder / "snapshots", index=index, volume=volume),
            RecordingStore(folder / "recordings", index=index),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.index.run)
            yield
            tasks.cancel_scope.cancel()

    def put(self, *files: str, camera: str = "camera0") -> None:
        """Write snapshots as another program does."""
        (self.snapshots.root / camera).mkdir(parents=True, exist_ok=True)
        for each in files:
            (self.snapshots.root / camera / each).write_bytes(b"12345")

    def record(self, number: int = 0, *, ended: bool = True) -> RecordingNote:
        """Make a recording with one segment of five bytes."""
        note = self.recordings.create(CAMERA, RecordingFormat.FMP4, AT.replace(second=number))
        (self.recordings.folder(note) / "a.mp4").write_bytes(b"12345")
        if ended:
            self.recordings.save(note.model_copy(update={"ended_at": AT}))
        return note

    async def page(self, *, offset: int = 0, limit: int = 50) -> Page[StoredFile]:
        return await self.snapshots.page(None, offset=offset, limit=limit)

    async def names(self, **wanted: int) -> list[str]:
        return [each.name for each in (await self.page(**wanted)).items]

    async def settled(self) -> None:
        """Wait until lists come from the index."""
        await self.until(lambda: self.index.is_settled)

    async def totals(self, store: SnapshotStore | RecordingStore) -> Totals:
        """Return the totals of the store's files, once the index is settled: a late notice may unsettle it again."""
        with anyio.fail_after(30):
            while (found := await store.totals()) is None:
                await anyio.sleep(0.01)
        return found

    async def until_totals(self, store: SnapshotStore | RecordingStore, wanted: Totals | None) -> None:
        """Wait until the index has these totals of the store's files."""
        found = None
        with anyio.move_on_after(30):
            while (found := await store.totals()) != wanted:
                await anyio.sleep(0.01)
        assert found == wanted

    @staticmethod
    async def until(condition: Callable[[], bool]) -> None:
        with anyio.fail_after(30):
            while not condition():
                await anyio.sleep(0.01)

"""Thumbnails of snapshots, and the scaling of pictures to thumbnails.

Apart from the service, which takes snapshots and needs none of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from agent_core.base.clock import Clock
from agent_core.base.errors import CaptureFailed, NotFound
from agent_core.base.files import explain_os_error
from agent_core.base.models import PictureFormat
from agent_core.base.workers import WorkerPool
from agent_core.media.downloads import ServedFile, open_beneath
from agent_core.media.thumbnails import Original
from agent_core.snapshots.converter import PictureConverter
from agent_core.snapshots.images import Wanted, picture_in
from agent_core.snapshots.store import SnapshotStore

__all__ = ("PictureScaler", "SnapshotOriginals")

#: Largest file that is read as a picture: a still of 100 megapixels.
_PICTURE_LIMIT_BYTES = 64 << 20
_JPEG_QUALITY = 80
_THREADS = 2
#: Time for one conversion; the caller has a limit of its own.
_CONVERT_S = 10.0
#: Thumbnails take turns with the pictures of other users as one user.
_USER = "thumbnails"


@dataclass(frozen=True, slots=True)
class PictureScaler:
    """Encodes pictures anew as thumbnails of `width` pixels."""

    converter: PictureConverter
    clock: Clock
    width: int

    async def scaled(self, data: bytes) -> bytes:
        """Return the JPEG or PNG in `data` as a small JPEG. Raises as `PictureConverter.convert`."""
        wanted = Wanted(PictureFormat.JPG, width=self.width, quality=_JPEG_QUALITY)
        deadline_s = self.clock.monotonic_s() + _CONVERT_S
        picture = await self.converter.convert(picture_in(data), wanted, deadline_s=deadline_s, user=_USER)
        return picture.data


class SnapshotOriginals:
    """Stored snapshots as originals of thumbnails."""

    can_make = True

    def __init__(self, store: SnapshotStore, scaler: PictureScaler) -> None:
        self._store = store
        self._scaler = scaler
        self._threads = WorkerPool(_THREADS)

    async def find(self, name: str) -> Original:
        """Open the snapshot. Raises NotFound or StorageFailed."""
        stored = await self._store.find(name)
        served = ServedFile(self._store.root, stored.name)
        try:
            opened = await self._threads.run(open_beneath, served)
        except OSError as error:
            raise explain_os_error(error, "open a snapshot") from error
        if opened is None:  # deleted meanwhile
            raise NotFound("There is no snapshot of that name.", resource="snapshot", id=name)
        return Original(stored.name, opened, served.suffix)

    async def make(self, original: Original) -> bytes:
        """Scale the picture. Raises CaptureFailed, RateLimited or StorageFailed."""
        if original.opened.size_bytes > _PICTURE_LIMIT_BYTES:
            raise CaptureFailed(
                f"The picture has {original.opened.size_bytes} bytes, too many to convert.",
                reason="picture_too_large",
            )
        try:
            data = await self._threads.run(original.opened.read, 0, original.opened.size_bytes)
        except OSError as error:
            raise explain_os_error(error, "read a snapshot") from error
        return await self._scaler.scaled(data)

    def remaining(self, items: Sequence[str]) -> Collection[str]:
        """Return those of the snapshots that exist. Blocks on the disk. Raises StorageFailed."""
        return self._store.existing(items)

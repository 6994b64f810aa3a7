"""Store of recordings: `ROOT/<camera>/<id>/` with the segments and a note, `recording.json`."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.base.beneath import folder_beneath, remove_regular
from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error, write_durable
from agent_core.base.listing import Lister, Page, newest_first
from agent_core.base.models import CameraId
from agent_core.base.partial_files import partial_names, remove_abandoned
from agent_core.base.volumes import Volume
from agent_core.base.workers import WorkerPool
from agent_core.media.downloads import Served, ServedFile
from agent_core.media.entries import camera_folders
from agent_core.media.index import IndexedLister, MediaIndex, Totals
from agent_core.media.retention import StoredMedia
from agent_core.recordings.models import (
    ListedRecording,
    RecordingFormat,
    RecordingNote,
    StoredRecording,
)
from agent_core.recordings.problems import no_recording, not_local
from agent_core.recordings.segment_order import in_order
from agent_core.recordings.segments import Segment, SegmentLengths, media_files, mend_closed
from agent_core.recordings.shelf import NOTE, RECORDING_ID, RecordingShelf
from agent_core.recordings.space import why_full, why_low

if TYPE_CHECKING:
    from agent_core.media.joined_files import Layouts

__all__ = ("UTC_NAMES", "ZONED_NAMES", "RecordingStore")

#: Ends of segments' names: for a server that runs in UTC, and for one whose zone is unknown; MediaMTX before 1.13
#: leaves the latter as it is.
UTC_NAMES, ZONED_NAMES = "Z", "%z"

#: For recordings under way, which make one call per camera at a time; and for requests of clients.
_THREADS, _READ_THREADS = 8, 2
#: Reduced by the umask: with umask 0002, a media server of another user in the same group may write.
FOLDER_MODE = 0o770
#: Entry of a list while it is sorted: the POSIX time of the recording's start, and its id.
_Entry = tuple[float, str]


class RecordingStore:
    """Makes, lists and reads recordings. Methods that are not `async` block on the disk: call them in a thread.

    Args:
        root: the folder of recordings.
        is_local: returns True if the media server writes below `root`; may block.
        zone: end of a segment's name that tells the zone of its time; default: `Z`, for a server in UTC.
        volume: the volume with the folder; default: one without memory.
        written_at: where the media server finds the folder; default: at `root`.
        index: makes lists cheap; without it, they are read from the folder.

    Attributes:
        min_free_bytes: as for `space.floor_bytes`; with less free space no recording starts. May be changed.
        threads: for blocking calls about recordings under way; requests of clients have other threads.
        media: the stored files, for retention.
    """

    def __init__(
        self,
        root: Path,
        *,
        is_local: Callable[[], bool] = lambda: True,
        zone: str = UTC_NAMES,
        volume: Volume | None = None,
        written_at: Path | None = None,
        index: MediaIndex | None = None,
        min_free_bytes: int | None = 0,
    ) -> None:
        self.min_free_bytes = min_free_bytes
        self._root = root
        self._is_local = is_local
        self._zone = zone
        self._volume = volume or Volume(root, name="recordings")
        self._written_at = (written_at or root).absolute()
        #: The media server writes through a link that leads nowhere while the volume is not there.
        self.is_guarded = written_at is not None
        self._lengths = SegmentLengths()
        self._layouts: Layouts | None = None
        self.threads = WorkerPool(_THREADS)
        self._reads = WorkerPool(_READ_THREADS)
        self._lists = WorkerPool(1)
        self._shelf = RecordingShelf(root, self._volume.check)
        self._indexed = index.add(self._shelf, self._lists) if index else None
        self.media = StoredMedia(self._shelf, self._indexed, self._lists, self._volume.check_writable)
        folders = Lister(self._entries, self._load, thread=self._lists)
        self._lister = IndexedLister(self._indexed, folders, self._load_files, thread=self._lists)

    @property
    def root(self) -> Path:
        return self._root

    def record_path(self, note: RecordingNote) -> str:
        """Return the media server's `recordPath` for this recording; it must contain %path, which is the camera."""
        return f"{self._written_at}/%path/{note.id}/%Y-%m-%d_%H-%M-%S-%f{self._zone}"

    def create(
        self, camera: CameraId, form: RecordingFormat, started_at: datetime, duration_s: float | None = None
    ) -> RecordingNote:
        """Make the folder of a new recording; its id is camera and time, with a number if that exists.

        Raises:
            Unsupported: `recordings_not_local`.
            StorageFailed: the folder or note cannot be written, or the disk is not there; no files are left.
        """
        self.require_place(make=True)
        base = f"{camera}_{started_at.strftime('%Y-%m-%d_%H-%M-%SZ')}"
        folder = self._volume.place / camera
        try:
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)
            if refusal := self.why_full() or why_low(self._root, self.min_free_bytes):
                raise refusal
            recording_id = self._make_folder(folder, base)
        except OSError as error:
            raise explain_os_error(error, "make the recording's folder") from error
        note = RecordingNote(
            id=recording_id, camera=camera, format=form, started_at=started_at, duration_s=duration_s
        )
        try:
            self.save(note)
        except StorageFailed:
            self.discard(note)
            raise
        return note

    async def is_local(self) -> bool:
        """Return True if the media server records on this host."""
        return await self._reads.run(self._is_local)

    def require_local(self) -> None:
        """Check that the recordings are here.

        Raises:
            Unsupported: the media server records on another host.
            StorageFailed: the disk for recordings is not there.
        """
        if not self._is_local():
            raise not_local()
        self._volume.check()

    def require_place(self, *, make: bool = False) -> None:
        """Check that the media server can record here; prepare the volume for it.

        Args:
            make: make a missing folder of recordings.

        Raises:
            Unsupported: it records on another host.
            StorageFailed: the disk for recordings is not there, or cannot be written.
        """
        if not self._is_local():
            raise not_local()
        self._volume.claim(make=make)

    def _make_folder(self, parent: Path, base: str) -> str:
        for number in count(1):
            name = base if number == 1 else f"{base}-{number}"
            with suppress(FileExistsError):
                (parent / name).mkdir(mode=FOLDER_MODE)
                return name
        raise AssertionError

    def save(self, note: RecordingNote) -> None:
        """Write the note.

        Raises:
            StorageFailed: the note cannot be written; the old one is unchanged.
        """
        try:
            write_durable(self.written_folder(note) / NOTE, note.model_dump_json(indent=2).encode() + b"\n")
        except OSError as error:
            raise explain_os_error(error, "save the recording's note") from error
        self._tell(note)

    def _tell(self, note: RecordingNote) -> None:
        if self._indexed is not None:
            self._indexed.tell(CameraId(note.camera), note.id)

    def delete(self, stored: StoredRecording) -> None:
        """Delete the listed segments, the empty ones, the note and what its interrupted writes left, and the folder if it is then empty.

        Follows no link below the root. A folder that vanished meanwhile counts as deleted.

        Raises:
            StorageFailed: a file cannot be deleted, and the files after it are kept; or the disk is not there.
        """
        self._volume.check()
        try:
            names = [each.name for each in (*stored.segments, *_empty(stored.folder))]
            with folder_beneath(self._volume.place, (stored.note.camera,)) as parent:
                with folder_beneath(self._volume.place, (stored.note.camera, stored.note.id)) as folder:
                    for name in (*names, *partial_names(folder), NOTE):
                        remove_regular(name, folder)
                with suppress(OSError):  # a foreign file stays, and its folder with it
                    os.rmdir(stored.note.id, dir_fd=parent)
        except FileNotFoundError:
            self._volume.check()  # a vanished disk looks like a deleted folder
        except OSError as error:
            raise explain_os_error(error, "delete a recording") from error
        finally:
            self._tell(stored.note)

    def discard(self, note: RecordingNote) -> None:
        """Remove the recording's folder unless it has a segment with media."""
        folder = self.folder(note)
        with suppress(OSError):
            files = list(media_files(folder))
            if not any(each.size_bytes for each in files):
                for segment in files:
                    segment.path.unlink(missing_ok=True)
                (folder / NOTE).unlink(missing_ok=True)
                remove_abandoned(folder)
                folder.rmdir()
        self._tell(note)

    def folder(self, note: RecordingNote) -> Path:
        """Return the folder of the recording."""
        return self._root / note.camera / note.id

    def written_folder(self, note: RecordingNote) -> Path:
        """Return the folder of the recording by a path that leads nowhere while the volume is not there."""
        return self._volume.place / note.camera / note.id

    def read(self, note: RecordingNote) -> StoredRecording:
        """Return the recording as it is on disk now.

        Raises:
            StorageFailed: its folder cannot be read.
        """
        folder = self.folder(note)
        try:
            files = in_order(media_files(folder), note.order, self._lengths.times)
        except OSError as error:
            raise explain_os_error(error, "read a recording") from error
        return StoredRecording(
            note,
            folder,
            segments=tuple(each for each in files if each.size_bytes),
            names=tuple(each.name for each in files),
        )

    def mend(self, stored: StoredRecording) -> StoredRecording:
        """Repair closed files that a full disk truncated; return the recording as it then is.

        Raises:
            StorageFailed: the folder cannot be read.
        """
        is_disk_full = False
        with suppress(StorageFailed):
            is_disk_full = self.is_full()
        return self.read(stored.note) if mend_closed(stored.segments, is_disk_full=is_disk_full) else stored

    def is_full(self) -> bool:
        """Return True if the disk has no room to record. Raises as `why_full`."""
        return self.why_full() is not None

    def why_full(self) -> StorageFailed | None:
        """Return the error for a disk without room to record; None if there is room.

        Raises:
            StorageFailed: the folder of recordings is missing or cannot be read.
        """
        return why_full(self._root)

    async def page(self, camera: CameraId | None, *, offset: int, limit: int) -> Page[ListedRecording]:
        """Return a page of all recordings, or of one camera's, newest first.

        Raises:
            StorageFailed: the folder cannot be read, or the disk is not there.
        """
        page = await self._lister.page(camera, offset=offset, limit=limit)
        return Page(await self._lists.run_abandonable(self._with_durations, page.items), page.total)

    def _with_durations(self, found: Sequence[StoredRecording]) -> tuple[ListedRecording, ...]:
        return tuple(ListedRecording(each, sum(self.segment_durations_s(each))) for each in found)

    async def totals(self, camera: CameraId | None = None) -> Totals | None:
        """Return the number and size of all recordings, or of one camera's; None while the index is not settled.

        Raises:
            StorageFailed: the disk is not there.
        """
        return await self._lister.totals(camera)

    async def all(
        self, camera: CameraId | None = None, *, keep: Callable[[StoredRecording], bool] | None = None
    ) -> list[StoredRecording]:
        """Return all recordings, or one camera's, newest first; with `keep`, as `Lister.all`. Raises as `page`."""
        return await self._lister.all(camera, keep)

    def _entries(self, camera: CameraId | None) -> list[_Entry]:
        self._volume.check()
        found: list[_Entry] = []
        try:
            for folder in camera_folders(self._shelf.root, camera):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    notes = map(self._shelf.note_in, Path(folder).iterdir())
                    found += ((note.started_at.timestamp(), note.id) for note in notes if note)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain_os_error(error, "list the recordings") from error
        return newest_first(found)

    def _load_files(self, files: Sequence[tuple[CameraId, str]]) -> list[StoredRecording]:
        self._volume.check()
        found = (self.look_up(camera, file) for camera, file in files)
        return [each for each in found if each is not None]

    def _load(self, entries: Sequence[_Entry]) -> list[StoredRecording]:
        found = (self._stored(self._root / name.partition("_")[0] / name) for _, name in entries)
        return [each for each in found if each is not None]

    def _stored(self, folder: Path) -> StoredRecording | None:
        """Return the recording in `folder`; None if it is not a folder of this store."""
        note = self._shelf.note_in(folder)
        return None if note is None else self.read(note)

    def look_up(self, camera: CameraId, recording_id: str) -> StoredRecording | None:
        """Return a recording; None if there is none. Follows no link, like lists and downloads. Raises StorageFailed."""
        folder = self._root / camera / recording_id
        return None if folder.parent.is_symlink() else self._stored(folder)

    async def find(self, recording_id: str) -> StoredRecording:
        """Return the recording with that id.

        Raises:
            NotFound: there is none.
            StorageFailed: it cannot be read.
            Unsupported: `recordings_not_local`: the media server keeps recordings on another host.
        """
        stored = None
        if known := RECORDING_ID.fullmatch(recording_id):
            stored = await self._reads.run_abandonable(self.look_up, CameraId(known[1]), recording_id)
        if stored is None:
            if known:
                await self._reads.run_abandonable(self.require_local)
            raise no_recording(recording_id)
        return stored

    async def durations_s(self, stored: StoredRecording) -> list[float]:
        """Return `segment_durations_s`, run in the threads for requests of clients."""
        return await self._reads.run_abandonable(self.segment_durations_s, stored)

    def segment_names(self, recording_id: str) -> list[str]:
        """Return the names of a recording's segments, oldest first; empty if the id is unknown."""
        known = RECORDING_ID.fullmatch(recording_id)
        stored = self.look_up(CameraId(known[1]), recording_id) if known else None
        return [segment.name for segment in stored.segments] if stored else []

    def resolve(self, name: str) -> Served | None:
        """Return the file for a name; None if it is unknown.

        A name is `<id>/<segment>`; a recording's id, for its first segment; or `<id>.mp4` or `<id>.ts`, for all
        segments as one.
        """
        recording_id, slash, wanted = name.partition("/")
        stem, dot, end = recording_id.partition(".")
        if dot and not slash:
            return self._whole(stem, f"{dot}{end}")
        names = self.segment_names(recording_id)
        if not names or (slash and wanted not in names):
            return None
        at = names.index(wanted) if wanted else 0
        following = f"{recording_id}/{names[at + 1]}" if at + 1 < len(names) else None
        return ServedFile(self._root, _relative(recording_id, names[at]), following)

    def _whole(self, recording_id: str, suffix: str) -> Served | None:
        from agent_core.media.joined_files import Layouts, ServedJoin

        names = self.segment_names(recording_id)
        if not names or not all(name.endswith(suffix) for name in names):
            return None
        relatives = tuple(_relative(recording_id, name) for name in names)
        self._layouts = self._layouts or Layouts()
        return ServedJoin(self._root, relatives, f"{recording_id}{suffix}", self._layouts)

    def segment_durations_s(self, stored: StoredRecording) -> list[float]:
        """Return the seconds of media in each segment, 0 for a damaged one."""
        return [self._lengths.duration_s(each) for each in stored.segments]


def _relative(recording_id: str, segment: str) -> str:
    return f"{recording_id.partition('_')[0]}/{recording_id}/{segment}"


def _empty(folder: Path) -> Iterator[Segment]:
    return (each for each in media_files(folder) if not each.size_bytes)

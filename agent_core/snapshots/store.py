"""Store of snapshots: names that cannot leave the folder, files that are complete or absent."""

import logging
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from agent_core.base.beneath import folder_beneath, remove_regular
from agent_core.base.errors import InvalidParams, InvalidState, NotFound, StorageFailed
from agent_core.base.files import explain_os_error, make_folder, write_new
from agent_core.base.listing import Lister, Page, newest_first
from agent_core.base.models import CAMERA_ID, CameraId, PictureFormat
from agent_core.base.partial_files import remove_abandoned
from agent_core.base.volumes import Volume
from agent_core.base.workers import WorkerPool
from agent_core.media.entries import camera_folders, is_listable, modified_at
from agent_core.media.index import IndexedLister, MediaIndex, Totals
from agent_core.media.retention import StoredMedia
from agent_core.snapshots import images
from agent_core.snapshots.models import StoredFile
from agent_core.snapshots.shelf import SUFFIXES, SnapshotShelf, form_of

__all__ = ("SnapshotStore",)

_log = logging.getLogger("camera_agent.snapshots")

#: Letters, digits and `._-`, starting with a letter or digit; with a suffix, short enough for every file system.
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
#: Concurrent writes and reads; both are short on a healthy disk.
_WRITE_THREADS, _READ_THREADS = 4, 2
#: Reduced by the umask.
_FOLDER_MODE = 0o770
#: Entry of a list while it is sorted: the file's modification time (ns) and its name.
_Entry = tuple[int, str]


def _timestamp(taken_at: datetime) -> str:
    return taken_at.strftime("%Y-%m-%d_%H-%M-%S-") + f"{taken_at.microsecond // 1000:03d}Z"


def _checked_file_name(name: str, form: PictureFormat) -> str:
    """Return `name` with the suffix of `form`. Raises InvalidParams for a path, a hidden file or other characters."""
    suffix = Path(name).suffix.lower()
    if suffix in SUFFIXES and SUFFIXES[suffix] is not form:
        raise InvalidParams(
            f"The name ends in {suffix}, the format is {form}.",
            param="filename",
            rule="suffix",
            hint=f".{form}",
        )
    full = name if suffix in SUFFIXES else f"{name}.{form}"
    if not _FILE_NAME.fullmatch(full):
        raise InvalidParams(
            "A file name has up to 200 letters, digits, dots, dashes and underscores, and starts with one of the "
            "first two.",
            param="filename",
            rule=_FILE_NAME.pattern,
            hint="front-door.jpg",
        )
    return full


def _no_snapshot(name: str) -> NotFound:
    return NotFound(
        "There is no snapshot of that name.",
        resource="snapshot",
        id=name,
        suggestion="Call list_snapshots for the names.",
    )


class SnapshotStore:
    """Stores snapshots as `ROOT/<camera>/<file>`, in threads of its own.

    Writing, reading and listing do not wait for each other.

    Args:
        root: the folder of snapshots.
        volume: the volume with the folder; default: one without memory.
        index: makes lists cheap; without it, they are read from the folder.

    Attributes:
        media: the stored files, for retention.
    """

    def __init__(self, root: Path, *, volume: Volume | None = None, index: MediaIndex | None = None) -> None:
        self._root = root
        self._volume = volume or Volume(root, name="snapshots")
        self._writes = WorkerPool(_WRITE_THREADS)
        self._reads = WorkerPool(_READ_THREADS)
        self._lists = WorkerPool(1)
        self._shelf = SnapshotShelf(root, self._volume.check)
        self._indexed = index.add(self._shelf, self._lists) if index else None
        self.media = StoredMedia(self._shelf, self._indexed, self._lists, self._volume.check_writable)
        folders = Lister(self._entries, self._load, thread=self._lists)
        self._lister = IndexedLister(self._indexed, folders, self._load_files, thread=self._lists)

    @property
    def root(self) -> Path:
        return self._root

    async def prepare(self) -> None:
        """Make the folder and remove the leftovers of interrupted writes; leave them if the disk is not there.

        Raises:
            StorageFailed: the folder cannot be made.
        """
        await self._writes.run_abandonable(self._prepare)  # a start that waits for a disk can be ended

    def _prepare(self) -> None:
        try:
            self._volume.check()
        except StorageFailed as error:
            _log.error("%s %s", error.details, error.suggestion)
            return
        try:
            make_folder(self._root, _FOLDER_MODE)
            for folder in camera_folders(self._root):
                remove_abandoned(Path(folder))
        except OSError as error:
            raise explain_os_error(error, f"prepare the folder for snapshots, {self._root}") from error

    async def save(
        self, camera: CameraId, name: str | None, data: bytes, form: PictureFormat, taken_at: datetime
    ) -> StoredFile:
        """Store `data` under `name`, or under a name made of camera and time; never overwrite a file.

        Raises:
            InvalidParams: the name cannot be used.
            InvalidState: a file of that name exists.
            StorageFailed: the file cannot be written; nothing is left behind.
        """
        if name is not None:
            path = self._root / camera / _checked_file_name(name, form)
            return await self._writes.run(self._write_named, camera, path, data)
        return await self._writes.run(self._write_dated, camera, data, form, taken_at)

    def check_name(self, name: str, form: PictureFormat) -> None:
        """Check a name before the capture. Raises InvalidParams."""
        _checked_file_name(name, form)

    def _write_named(self, camera: CameraId, path: Path, data: bytes) -> StoredFile:
        try:
            return self._write(camera, path, data)
        except FileExistsError as error:
            raise InvalidState(
                f"This camera already has a snapshot named {path.name}.",
                state="exists",
                allowed_states=("absent",),
                reason="file_exists",
                suggestion="Choose another name, or omit it.",
            ) from error

    def _write_dated(self, camera: CameraId, data: bytes, form: PictureFormat, at: datetime) -> StoredFile:
        """Store under camera and time; append a number if that millisecond has a snapshot."""
        attempt = 1
        while True:
            number = "" if attempt == 1 else f"-{attempt}"
            path = self._root / camera / f"{camera}_{_timestamp(at)}{number}.{form}"
            try:
                return self._write(camera, path, data)
            except FileExistsError:
                attempt += 1

    def _write(self, camera: CameraId, path: Path, data: bytes) -> StoredFile:
        self._volume.claim(make=True)
        folder = self._volume.place / camera
        try:
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            write_new(folder / path.name, data)
        except FileExistsError:
            raise
        except OSError as error:
            raise explain_os_error(error, "store the snapshot") from error
        self._tell(camera, path.name)
        stored = self._stored(camera, path)
        assert stored is not None  # noqa: S101 - written above
        return stored

    def _stored(self, camera: CameraId, path: Path) -> StoredFile | None:
        """Return the snapshot at `path`; None unless it is a regular file with a picture's suffix."""
        form = form_of(path.name)
        if form is None or not is_listable(path.name):
            return None
        try:
            status = path.lstat()
        except (OSError, ValueError):  # ValueError: a NUL in the requested name
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        return StoredFile(f"{camera}/{path.name}", camera, path, status.st_size, modified_at(status), form)

    async def page(self, camera: CameraId | None, *, offset: int, limit: int) -> Page[StoredFile]:
        """Return a page of all snapshots, or of one camera's, newest first.

        Raises:
            StorageFailed: the folder cannot be read, or the disk is not there.
        """
        return await self._lister.page(camera, offset=offset, limit=limit)

    async def totals(self, camera: CameraId | None = None) -> Totals | None:
        """Return the number and size of all snapshots, or of one camera's; None while the index is not settled.

        Raises:
            StorageFailed: the disk is not there.
        """
        return await self._lister.totals(camera)

    async def all(self, camera: CameraId | None = None) -> list[StoredFile]:
        """Return all snapshots, or one camera's, newest first. Raises as `page`."""
        return await self._lister.all(camera)

    def _entries(self, camera: CameraId | None) -> list[_Entry]:
        self._volume.check()
        found: list[_Entry] = []
        try:
            for folder in camera_folders(self._shelf.root, camera):
                with suppress(FileNotFoundError):  # deleted meanwhile
                    found += self._entries_in(folder)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise explain_os_error(error, "list the snapshots") from error
        return newest_first(found)

    def _entries_in(self, folder: "os.DirEntry[str]") -> Iterator[_Entry]:
        with os.scandir(folder.path) as entries:
            for entry in entries:
                if not self._shelf.fits(entry.name):
                    continue
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode):
                        yield status.st_mtime_ns, f"{folder.name}/{entry.name}"

    def _load_files(self, files: Sequence[tuple[CameraId, str]]) -> list[StoredFile]:
        self._volume.check()
        linked = {camera for camera in {each for each, _ in files} if (self._root / camera).is_symlink()}
        found = (
            self._stored(camera, self._root / camera / file) for camera, file in files if camera not in linked
        )
        return [each for each in found if each is not None]

    def _tell(self, camera: CameraId, file: str) -> None:
        if self._indexed is not None:
            self._indexed.tell(camera, file)

    def _load(self, entries: Sequence[_Entry]) -> list[StoredFile]:
        found = (self._stored(CameraId(name.partition("/")[0]), self._root / name) for _, name in entries)
        return [each for each in found if each is not None]

    async def find(self, name: str) -> StoredFile:
        """Return the snapshot of that name. A name that the agent made may omit the camera's folder.

        Raises:
            NotFound: there is none.
            StorageFailed: the disk is not there.
        """
        folder, _, file = name.rpartition("/")
        camera = folder or file.partition("_")[0]
        stored = None
        if CAMERA_ID.fullmatch(camera):
            stored = await self._reads.run_abandonable(self.look_up, CameraId(camera), file)
        if stored is None:
            raise _no_snapshot(name)
        return stored

    def look_up(self, camera: CameraId, file: str) -> StoredFile | None:
        """Return a snapshot; None if there is none. Follows no link below the root. Blocks; raises StorageFailed without the disk."""
        self._volume.check()
        path = self._root / camera / file
        return None if path.parent.is_symlink() else self._stored(camera, path)

    async def delete(self, name: str) -> StoredFile:
        """Delete the snapshot of that name; return it as it was. Runs to its end even if cancelled.

        Raises:
            NotFound: there is none.
            StorageFailed: it cannot be deleted, or the disk is not there.
        """
        stored = await self.find(name)
        if not await self._writes.run(self.remove, stored):
            raise _no_snapshot(name)
        return stored

    def existing(self, names: Sequence[str]) -> set[str]:
        """Return those of the snapshots that exist. Blocks on the disk.

        Raises:
            StorageFailed: the folder cannot be read, or the disk is not there.
        """
        self._volume.check()
        pairs = ((name, *name.split("/", 1)) for name in names)
        try:
            found = {name for name, camera, file in pairs if self._shelf.look(CameraId(camera), file)}
        except OSError as error:
            raise explain_os_error(error, "read the snapshots") from error
        self._volume.check()  # a vanished disk looks like an empty folder
        return found

    def remove(self, stored: StoredFile) -> bool:
        """Delete the file; return False if it is gone. Follows no link below the root. Blocks; raises StorageFailed."""
        self._volume.check()
        try:
            with folder_beneath(self._volume.place, (stored.camera,)) as folder:
                return remove_regular(stored.path.name, folder)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise explain_os_error(error, "delete a snapshot") from error
        finally:
            self._tell(stored.camera, stored.path.name)

    async def pixels(self, stored: StoredFile) -> tuple[int, int] | None:
        """Return width and height (pixels) from the file's header; None if it is not a picture."""
        return await self._reads.run_abandonable(images.size_of, stored.path)

"""Changes of one shelf that the index was told of, or that inotify noticed, until they are taken over; without I/O."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from agent_core.base.inotify import Noticed
from agent_core.base.models import CameraId

__all__ = ("Notices", "WatchedFolder", "WatchedFolders")

#: Changed files of a folder beyond which the whole folder is scanned instead of each of them. 10,000 files that retention
#: deletes at once are less work one by one than a scan of the 100,000 that stay.
MANY = 20_000


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """Folder by device and inode; `watch` is the number of its watch, None without inotify."""

    watch: int | None
    identity: tuple[int, int]


@dataclass(frozen=True, slots=True)
class WatchedFolders:
    """Root of a shelf, None without one, and the folders of its cameras."""

    root: WatchedFolder | None = None
    cameras: Mapping[CameraId, WatchedFolder] | None = None

    @property
    def are_watched(self) -> bool:
        """True if inotify tells of every change in the root and in the folders."""
        folders = (self.root, *(self.cameras or {}).values())
        return all(each is not None and each.watch is not None for each in folders)

    def camera(self, camera: CameraId) -> WatchedFolder | None:
        """Return the camera's folder, if it is known."""
        return (self.cameras or {}).get(camera)


class Notices:
    """Known changes. For the event loop only, except `tell`.

    Attributes:
        dirty: cameras whose folders must be scanned.
        noticed: cameras in whose folders something was told or noticed since `noticed` was cleared.
        folders: the folders as they are watched.
    """

    def __init__(self) -> None:
        self.dirty: set[CameraId] = set()
        self.noticed: set[CameraId] = set()
        self.folders = WatchedFolders()
        self._told: deque[tuple[CameraId, str]] = deque()
        self._changed: dict[CameraId, set[str]] = {}
        #: Watches with notices that came before `install` told whose they are.
        self._early: set[int] = set()
        self._doubts = 1
        self._compared = 0
        #: The folders as they were watched at the last comparison.
        self._compared_folders = WatchedFolders()

    @property
    def are_taken(self) -> bool:
        """True if nothing but single files must be looked at."""
        return self._compared == self._doubts and not self.dirty

    @property
    def waiting(self) -> set[CameraId]:
        """Cameras with changes that are not taken over."""
        return self.dirty | self._changed.keys() | {camera for camera, _ in self._told}

    def tell(self, camera: CameraId, file: str) -> None:
        """Take note of a file that was made, changed or deleted. Any thread may call it."""
        self._told.append((camera, file))

    def doubt(self) -> None:
        """Doubt which folders there are, as after the loss of notices."""
        self._doubts += 1

    @property
    def doubts(self) -> int:
        """Number of the last doubt about which folders there are, for `compared`."""
        return self._doubts

    def compared(self, doubts: int) -> None:
        """Take note that the folders were compared, which settles the doubts up to `doubts`."""
        self._compared, self._compared_folders = doubts, self.folders

    def explain(self, camera: CameraId) -> bool:
        """Return True if notices explain that the time of a camera's folder has changed since the last comparison.

        What the agent tells explains nothing: without a watch since then, others may have changed the folder too.
        """
        folder = self.folders.camera(camera)
        is_watched = folder is not None and folder.watch is not None
        return is_watched and folder == self._compared_folders.camera(camera) and camera in self.noticed

    def install(self, folders: WatchedFolders) -> None:
        """Replace the watched folders; a folder with an early notice must be scanned."""
        self.folders = folders
        for camera, folder in (folders.cameras or {}).items():
            if folder.watch in self._early:
                self.dirty.add(camera)
        if folders.root is not None and folders.root.watch in self._early:
            self.doubt()
        self._early.clear()

    def next(self) -> tuple[CameraId, set[str]] | None:
        """Return a camera and its changed files, which the caller takes over; None if there are none."""
        return self._changed.popitem() if self._changed else None

    def drop(self, camera: CameraId) -> None:
        """Drop the changed files of a camera whose folder is about to be scanned."""
        self._changed.pop(camera, None)
        self.dirty.discard(camera)

    def notice(self, noticed: Noticed) -> None:
        """Sort out what was told, and what inotify has noticed."""
        while self._told:
            camera, file = self._told.popleft()
            self.noticed.add(camera)
            self._changed.setdefault(camera, set()).add(file)  # also if it is dirty: a scan may take long
        root = self.folders.root
        watches = {each.watch: camera for camera, each in (self.folders.cameras or {}).items()}
        for watch, files in noticed.names.items():
            if watch in watches:
                self._add(watches[watch], files)
        ours = {*watches, root.watch if root else None}
        self._early |= (noticed.names.keys() | noticed.lost) - ours
        if lost := {watches[watch] for watch in noticed.lost if watch in watches}:
            self._lose(lost)
        if root is not None and root.watch is not None:
            if root.watch in noticed.lost:
                self.folders = WatchedFolders(None, self.folders.cameras)
            if root.watch in noticed.names or root.watch in noticed.lost:
                self.doubt()
        if noticed.overflowed:
            self.dirty.update(watches.values())
            self.doubt()

    def _add(self, camera: CameraId, files: set[str]) -> None:
        self.noticed.add(camera)
        if camera in self.dirty:
            return
        waiting = self._changed.setdefault(camera, set())
        waiting |= files
        if len(waiting) > MANY:
            self.drop(camera)
            self.dirty.add(camera)

    def _lose(self, cameras: set[CameraId]) -> None:
        kept = {each: at for each, at in (self.folders.cameras or {}).items() if each not in cameras}
        self.folders = WatchedFolders(self.folders.root, kept)
        self.dirty |= cameras
        self.doubt()

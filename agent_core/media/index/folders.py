"""The folders of cameras below a shelf's root, each with its watch and its time. All functions block on the disk."""

import logging
import os
from itertools import islice
from pathlib import Path

from agent_core.base.inotify import FolderWatches
from agent_core.base.models import CameraId
from agent_core.media.entries import camera_folders
from agent_core.media.index.entries import limited_ns
from agent_core.media.index.notices import WatchedFolder, WatchedFolders

__all__ = ("changed_ns", "find_folders", "is_large")

_log = logging.getLogger("camera_agent.storage")


#: Entries from which on lists come from the index even if it lags behind: the folders would take seconds to read, while
#: which they would slow down everything else.
LARGE = 2000


def is_large(root: Path) -> bool:
    """Return True if the cameras' folders have many entries; counts no further than it must."""
    left = LARGE
    try:
        for folder in camera_folders(root):
            with os.scandir(folder) as entries:
                left -= sum(1 for _ in islice(entries, left))
            if not left:
                return True
    except OSError:
        return False
    return False


def changed_ns(path: Path) -> int | None:
    """Return the time of modification (ns) of a file or folder, limited as in the index; None if it is not there."""
    try:
        return limited_ns(path.lstat().st_mtime_ns)
    except (OSError, ValueError):
        return None


def find_folders(
    root: Path, known: WatchedFolders, watches: FolderWatches | None
) -> tuple[WatchedFolders, dict[CameraId, int]]:
    """Watch the root and the cameras' folders that are not watched yet, and end the watches of folders that are gone.

    Follows no link below the root. Each time was read after the folder's watch began.

    Returns:
        The folders, and their times of modification (ns).

    Raises:
        OSError: the root cannot be read; a missing one has no folders.
    """
    try:
        status = root.stat()
    except FileNotFoundError:
        return WatchedFolders(), {}
    top = _watched(root, status, known.root, watches, follow=True)
    cameras: dict[CameraId, WatchedFolder] = {}
    times: dict[CameraId, int] = {}
    for entry in camera_folders(root):
        camera, path = CameraId(entry.name), root / entry.name
        folder = _watched(path, path.lstat(), known.camera(camera), watches)
        if (time_ns := changed_ns(path)) is not None:
            cameras[camera], times[camera] = folder, time_ns
    if watches is not None:
        used = {each.watch for each in (top, *cameras.values())}
        for each in (known.cameras or {}).values():
            if each.watch is not None and each.watch not in used:
                watches.remove(each.watch)
    return WatchedFolders(top, cameras), times


def _watched(
    path: Path,
    status: os.stat_result,
    known: WatchedFolder | None,
    watches: FolderWatches | None,
    *,
    follow: bool = False,
) -> WatchedFolder:
    """Return the folder with its watch, a new one if another folder is in its place."""
    identity = (status.st_dev, status.st_ino)
    if known is not None and known.identity == identity:
        return known
    watch = None
    if watches is not None:
        try:
            watch = watches.add(path, follow=follow)
        except OSError as error:  # a network disk, or the account's limit of watches
            _log.debug("%s is not watched, and only compared at intervals: %s", path, error)
    return WatchedFolder(watch, identity)

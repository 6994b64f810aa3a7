"""Files of snapshots below the root, as the index keeps them.

Apart from the store, so that the program that scans needs none.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from agent_core.base.models import CameraId, PictureFormat
from agent_core.base.python_module import python_module
from agent_core.media.entries import ListableNames
from agent_core.media.index.entries import IndexEntry, limited_ns

__all__ = ("SUFFIXES", "SnapshotShelf", "form_of")

SUFFIXES = {f".{form.value}": form for form in PictureFormat} | {".jpeg": PictureFormat.JPG}


def form_of(file_name: str) -> PictureFormat | None:
    """Return the format by the suffix of a file name; None for another suffix."""
    stem, _, suffix = file_name.rpartition(".")
    return SUFFIXES.get(f".{suffix.lower()}") if stem else None


class SnapshotShelf:
    """Shelf of the snapshots below `root`. Every method blocks on the disk.

    Args:
        root: the folder of snapshots.
        check: raises StorageFailed while the disk is not there.
    """

    kind = "snapshots"
    is_flat = True

    def __init__(self, root: Path, check: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self.check = check
        self.names = ListableNames()

    @property
    def scanner(self) -> Sequence[str]:
        """Program that scans one camera, with its arguments; the camera's id is the last argument."""
        return python_module("agent_core.snapshots.scan", os.fspath(self.root.absolute()))

    def fits(self, file: str) -> bool:
        """Return True for the name of a picture that a client can request."""
        return form_of(file) is not None and self.names.fits(file)

    def files(self, camera: CameraId) -> Iterator[str]:
        """Yield the names of the pictures in the camera's folder. Raises OSError."""
        with os.scandir(self.root / camera) as entries:
            yield from (each.name for each in entries if self.fits(each.name))

    def look(self, camera: CameraId, file: str) -> IndexEntry | None:
        """Return the entry as it is now; None unless it is a regular file. Raises OSError if the disk fails."""
        if not self.fits(file):
            return None
        try:
            status = (self.root / camera / file).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        changed_ns = limited_ns(status.st_mtime_ns)
        return IndexEntry(file, f"{camera}/{file}", changed_ns, status.st_size, changed_ns)

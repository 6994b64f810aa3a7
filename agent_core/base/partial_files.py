"""Temporary files that become stored files, and the removal of those that a kill or a power cut left.

A writer holds a lock on its file, which the kernel releases however the process ends: a file without one is abandoned,
whatever its age. The age says nothing on hosts whose clock is wrong until the network is there.
"""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agent_core.base.small_files import open_regular

__all__ = ("partial_names", "remove_abandoned", "written_beside")

#: First characters of the names; no list of stored files shows what begins with a dot.
_PREFIX = ".partial-"


@contextmanager
def written_beside(path: Path, data: bytes, mode: int) -> Iterator[Path]:
    """Write `data` to a new file in the folder of `path`, and sync it; yield its path, to be renamed or linked.

    What is still there under that path at the end is removed. Blocks on the disk.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, temporary = _claimed(path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _claimed(folder: Path) -> tuple[int, Path]:
    """Make and lock a file; again if it was taken for an abandoned one in between."""
    while True:
        descriptor, name = tempfile.mkstemp(dir=folder, prefix=_PREFIX)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink > 0:
            return descriptor, Path(name)
        os.close(descriptor)


def partial_names(folder: Path | int) -> list[str]:
    """Return the names of the temporary files in a folder, given as a path or an open descriptor. Raises OSError."""
    with os.scandir(folder) as entries:  # a loop over 100,000 names; a glob takes four times as long
        return [each.name for each in entries if each.name.startswith(_PREFIX)]


def remove_abandoned(folder: Path, *, flock: Callable[[int, int], None] = fcntl.flock) -> None:
    """Remove the temporary files in `folder` that no running process writes. Blocks on the disk.

    Files of other accounts, links and folders stay, and so does what cannot be removed. On a file system without locks,
    every temporary file counts as abandoned.

    Args:
        folder: the folder.
        flock: locks a descriptor, as `fcntl.flock`.

    Raises:
        OSError: the folder cannot be read.
    """
    for name in partial_names(folder):
        with suppress(OSError):
            _remove(folder / name, flock)


def _remove(path: Path, flock: Callable[[int, int], None]) -> None:
    descriptor = open_regular(path)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid() and _is_abandoned(descriptor, flock):
            path.unlink()
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int, flock: Callable[[int, int], None]) -> bool:
    """Return True if no writer holds the lock; none gets it then until the descriptor is closed."""
    try:
        # Shared, because network file systems refuse an exclusive lock of a file that is open for reading (flock(2)).
        flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True

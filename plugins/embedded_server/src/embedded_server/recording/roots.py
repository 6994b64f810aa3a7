"""Confinement of recordings to folders, whatever the configuration of a path says."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from embedded_server.config.gotext import ConfigRefused

__all__ = ("RecordingRoots",)

#: Modes of the agent's own files: full access for its account, read access for its group.
_FOLDER_MODE, _FILE_MODE = 0o750, 0o640
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class RecordingRoots:
    """Folders below which recordings may be written, listed and deleted; no symbolic link below them is followed.

    Such a folder may itself be a link. All methods except `check` block on the disk: call them in a thread.

    Args:
        folders: made, with their parents, when the first file is written. Later they may be missing because their disk is
            not there, and a folder in their place would be on another disk.
        given: folders like these that are never made.
    """

    def __init__(self, folders: tuple[Path, ...], *, given: tuple[Path, ...] = ()) -> None:
        self._folders = tuple(dict.fromkeys(folder.absolute() for folder in (*given, *folders)))
        self._unused = {folder.absolute() for folder in folders} - {folder.absolute() for folder in given}

    def check(self, pattern: str) -> None:
        """Check that a `recordPath` cannot lead outside the folders.

        Raises:
            ConfigRefused: it can, or it contains control characters.
        """
        if any(ord(sign) < 0x20 or ord(sign) == 0x7F for sign in pattern):
            raise ConfigRefused("'recordPath' must not contain control characters")
        if self._split(Path.cwd() / pattern) is None:
            raise ConfigRefused("'recordPath' must be below the folder of recordings")

    def _split(self, file: Path) -> tuple[Path, tuple[str, ...]] | None:
        """Return the root of `file` and the parts below it; None if no root contains it."""
        for root in self._folders:
            if file.is_relative_to(root):
                parts = file.relative_to(root).parts
                return (root, parts) if parts and ".." not in parts else None
        return None

    def holds(self, folder: Path) -> bool:
        """Return whether `folder` is below a root once symbolic links are resolved."""
        found = folder.resolve()
        return any(found.is_relative_to(root.resolve()) for root in self._folders)

    def create(self, file: Path) -> int:
        """Open a new file for writing and create its folders below the root; the caller owns the descriptor.

        Raises:
            OSError: the root does not exist, the disk fails, or `file` exists and is not a regular file.
        """
        with self._folder_of(file, make=True) as (folder, name):
            descriptor = os.open(name, _FILE_FLAGS, _FILE_MODE, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
            os.fchmod(descriptor, _FILE_MODE)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def remove(self, file: Path) -> None:
        """Remove a file.

        Raises:
            OSError: the file does not exist, or the disk fails.
        """
        with self._folder_of(file, make=False) as (folder, name):
            os.unlink(name, dir_fd=folder)

    @contextmanager
    def _folder_of(self, file: Path, *, make: bool) -> Iterator[tuple[int, str]]:
        """Open the folder of `file` one part at a time: no symbolic link below the root is followed."""
        split = self._split(file)
        if split is None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        root, parts = split
        if make and root in self._unused:
            _make_root(root)
            self._unused.discard(root)
        folder = os.open(root, _FOLDER_FLAGS)
        try:
            for part in parts[:-1]:
                parent, folder = folder, _enter(folder, part, make=make)
                os.close(parent)
            yield folder, parts[-1]
        finally:
            os.close(folder)


def _make_root(root: Path) -> None:
    """Create the folder and its parents; `Path.mkdir` would give the parents the default mode."""
    missing = [each for each in (root, *root.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def _enter(folder: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, _FOLDER_MODE, dir_fd=folder)
    return os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder)

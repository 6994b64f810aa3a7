"""Safe reading of files that another account, or a mistake, may have replaced: without waiting, and with a limit.

A folder that other accounts may write to, now or earlier, can hold anything under a known name. Opening a FIFO waits
for a writer, a device may have no end, and a symbolic link leads out of the folder.
"""

import errno
import os
import stat
from pathlib import Path

__all__ = ("UnsafeFile", "open_regular", "read_small", "refuse_foreign")

#: State files have a few kilobytes; a ledger of a thousand cameras has 200 kB.
LIMIT_BYTES = 1 << 20
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class UnsafeFile(OSError):
    """File that cannot be one of the agent's own; `strerror` gives the reason."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(errno.EINVAL, why, os.fspath(path))


def open_regular(path: Path, flags: int = os.O_RDONLY, *, follow: bool = False) -> int:
    """Open a regular file; the caller closes the descriptor.

    Args:
        path: the file.
        flags: as for `os.open`; the file is never created.
        follow: follow a symbolic link; for paths where an operator may have made one.

    Raises:
        UnsafeFile: the path is a FIFO, a device, a folder, a socket, or a link that is not followed.
        OSError: the file cannot be opened.
    """
    flags |= os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeFile("it is a symbolic link", path) from error
        if error.errno == errno.ENXIO:
            raise UnsafeFile("it is not a regular file", path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnsafeFile("it is not a regular file", path)
    return descriptor


def read_small(
    path: Path, *, limit_bytes: int = LIMIT_BYTES, private: bool = False, follow: bool = False
) -> bytes:
    """Read a whole regular file. Blocks on the disk only.

    Args:
        path: the file.
        limit_bytes: the largest size that is read.
        private: trust the file only if no other account can have written it: its owner is this account, root or
            the owner of its folder, and neither the group nor others may write to it.
        follow: as for `open_regular`.

    Raises:
        UnsafeFile: as for `open_regular`; or the file is too large, or another account may have written it.
        OSError: the file cannot be read.
    """
    with os.fdopen(open_regular(path, follow=follow), "rb") as file:
        if private:
            refuse_foreign(path, os.fstat(file.fileno()))
        content = file.read(limit_bytes + 1)
    if len(content) > limit_bytes:
        raise UnsafeFile(f"it is larger than {limit_bytes} bytes", path)
    return content


def refuse_foreign(path: Path, status: os.stat_result) -> None:
    """Raise UnsafeFile if another account can have made or written the file; see `private` of `read_small`."""
    if status.st_uid not in {0, os.geteuid(), path.parent.stat().st_uid}:
        raise UnsafeFile("it belongs to another account", path)
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise UnsafeFile("other accounts may write to it", path)

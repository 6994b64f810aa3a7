"""Disks that take no writes, because they are mounted so or because the kernel noticed errors."""

import errno
import os
import tempfile
from pathlib import Path

__all__ = ("is_read_only",)

_SYSFS = Path("/sys")
#: Errors of a file system that has stopped; a full disk or a folder of another account has others.
_STOPPED = frozenset({errno.EROFS, errno.EIO})


def is_read_only(folder: Path, *, sysfs: Path = _SYSFS) -> bool:
    """Return True if the disk of `folder` takes no writes. Blocks on the disk.

    After an error ext4 refuses all writes, but newer kernels (seen: 6.1.192 and 6.18) show that in none of its flags. A disk
    with such an error is tried with a file without a name; all others cost no write.

    Args:
        folder: an existing folder.
        sysfs: where the kernel shows its devices.

    Raises:
        OSError: the folder does not exist, or the disk fails.
    """
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return True
    return _has_errors(folder.stat().st_dev, sysfs) and not _takes_files(folder)


def _has_errors(device: int, sysfs: Path) -> bool:
    """Return True if ext4 has noticed errors on the device since the last check of the file system."""
    name = (sysfs / f"dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
    try:
        return int((sysfs / "fs/ext4" / name / "errors_count").read_text()) > 0
    except (OSError, ValueError):  # another file system
        return False


def _takes_files(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        return error.errno not in _STOPPED

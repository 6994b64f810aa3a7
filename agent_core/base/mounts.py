"""Mount points of this host, read from the kernel's list.

Apart from `volumes`, so that the parsing is tested with any list.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ("deepest_mount_point", "has_local_type", "is_local", "mount_point_of")

_LIST = Path("/proc/self/mountinfo")
#: The fifth field of a line is the mount point; spaces, tabs, line ends and backslashes in it are octal (proc(5)).
_MOUNT_POINT = 4
#: A dash ends the optional fields; the type of the file system follows it.
_DASH = b" - "
#: Types on disks or in the memory of this host: nothing but this kernel changes their files. Of those through FUSE, only
#: the ones on a block device are.
_LOCAL_TYPES = frozenset(
    b"bcachefs btrfs devtmpfs erofs exfat ext2 ext3 ext4 f2fs fuseblk hfs hfsplus iso9660 jffs2 jfs msdos nilfs2 ntfs "
    b"ntfs3 overlay ramfs reiserfs rootfs squashfs tmpfs ubifs udf vfat xfs zfs".split()
)
_OCTAL = re.compile(rb"\\([0-7]{3})")


def mount_point_of(path: Path) -> Path:
    """Return the mount point of the file system on which `path` is, or would be made; links are resolved.

    Returns "/" where the kernel's list cannot be read. Blocks on the disk.
    """
    try:
        lines = _LIST.read_bytes().splitlines()
    except OSError:
        return Path("/")
    return deepest_mount_point(Path(os.path.realpath(path)), lines)


def deepest_mount_point(path: Path, lines: Iterable[bytes]) -> Path:
    """Return the mount point of `path`, an absolute path without links, by the lines of a mountinfo file."""
    return max((point for point, _ in _mounts_above(path, lines)), key=_depth, default=Path("/"))


def is_local(path: Path) -> bool:
    """Return True if the file system of `path` is known to be on this host: no other machine changes its files.

    Returns False where the kernel's list cannot be read. Blocks on the disk.
    """
    try:
        lines = _LIST.read_bytes().splitlines()
    except OSError:
        return False
    return has_local_type(Path(os.path.realpath(path)), lines)


def has_local_type(path: Path, lines: Iterable[bytes]) -> bool:
    """Return `is_local` of `path`, an absolute path without links, by the lines of a mountinfo file."""
    deepest, is_local = -1, False
    for point, line in _mounts_above(path, lines):
        if _depth(point) >= deepest:  # of two mounts at one point, the later one counts
            deepest, is_local = _depth(point), line.partition(_DASH)[2].split(b" ")[0] in _LOCAL_TYPES
    return is_local


def _mounts_above(path: Path, lines: Iterable[bytes]) -> Iterator[tuple[Path, bytes]]:
    """Yield each mount point above `path`, or at it, with its line."""
    for line in lines:
        fields = line.split(b" ")
        if len(fields) > _MOUNT_POINT:
            point = Path(os.fsdecode(_plain(fields[_MOUNT_POINT])))
            if path.is_relative_to(point):
                yield point, line


def _depth(path: Path) -> int:
    return len(path.parts)


def _plain(field: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8) & 0xFF,)), field)

"""Mount points of this host, read from the kernel's list.

Apart from `volumes`, so that the parsing is tested with any list.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ("deepest_mount_point", "mount_point_of")

_LIST = Path("/proc/self/mountinfo")
#: The fifth field of a line is the mount point; spaces, tabs, line ends and backslashes in it are octal (proc(5)).
_MOUNT_POINT = 4
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
    fields = (line.split(b" ") for line in lines)
    points = (Path(os.fsdecode(_plain(each[_MOUNT_POINT]))) for each in fields if len(each) > _MOUNT_POINT)
    return max((each for each in points if path.is_relative_to(each)), key=_depth, default=Path("/"))


def _depth(path: Path) -> int:
    return len(path.parts)


def _plain(field: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes((int(found[1], 8) & 0xFF,)), field)

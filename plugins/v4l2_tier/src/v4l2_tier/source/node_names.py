"""Names of character devices in a folder, found by their device number.

A container's device nodes have the names that its runtime was told, and udev's rules add names: only the number says
which device of the kernel a node opens.
"""

import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ("NamedDevices", "find_names", "folders_of", "is_video_node")

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Device number class of video4linux, from the kernel's Documentation/admin-guide/devices.txt.
_VIDEO_MAJOR = 81
_VIDEO_NAME = re.compile(r"video[0-9]+")
#: Folders below /dev that hold other kinds of devices, or many entries.
_OTHER_FOLDERS = frozenset(
    {"shm", "pts", "mqueue", "hugepages", "bus", "input", "disk", "mapper", "snd", "dri"}
)
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class NamedDevices:
    """Result of a search: the path of each device by number, the devices without a path, and the unknown nodes.

    `unknown` are nodes of video devices that sysfs does not list, with their numbers.
    """

    paths: Mapping[int, Path] = field(default_factory=dict)
    missing: frozenset[int] = frozenset()
    unknown: tuple[tuple[Path, int], ...] = ()


def find_names(devices: Mapping[int, str], folder: Path) -> NamedDevices:
    """Return the nodes in `folder` of `devices`, the kernel's names by device number.

    The node with the kernel's own name comes first, then other nodes, then symbolic links, each in the order of their
    names. If every device has its own name, which is usual outside containers, only the top of the folder is read. Without any
    device, all is read: sysfs may be missing.
    """
    own = {number: folder / name for number, name in devices.items() if _number(folder / name) == number}
    if (
        devices
        and len(own) == len(devices)
        and not _strange_names(folder, {path.name for path in own.values()})
    ):
        return NamedDevices(own)
    found: dict[int, Path] = {}
    unknown: list[tuple[Path, int]] = []
    for path, number in sorted(_walk(folder), key=lambda each: (each[0].is_symlink(), each[0])):
        if number in devices:
            found.setdefault(number, path)
        elif os.major(number) == _VIDEO_MAJOR and not path.is_symlink():
            unknown.append((path, number))
    paths = found | own
    return NamedDevices(paths, frozenset(devices.keys() - paths.keys()), tuple(unknown))


def _strange_names(folder: Path, known: set[str]) -> bool:
    try:
        return any(_VIDEO_NAME.fullmatch(name) and name not in known for name in os.listdir(folder))  # noqa: PTH208 - names
    except OSError:
        return False


def is_video_node(path: Path) -> bool:
    """Return whether `path` is the node of a video device, or a symbolic link to one."""
    number = _number(path)
    return number is not None and os.major(number) == _VIDEO_MAJOR


def folders_of(folder: Path) -> Iterator[Path]:
    """Yield `folder` and those below it that may have nodes of video devices."""
    yield folder
    yield from _folders_below(folder, 1)


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    for entry in _entries(folder) if depth < _DEEPEST else ():
        if entry.name not in _OTHER_FOLDERS and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
            yield from _folders_below(Path(entry.path), depth + 1)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        return list(os.scandir(folder))
    except OSError as error:
        _log.debug("the folder %s cannot be read: %s", folder.name, error.strerror)
        return []


def _walk(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield the character devices below `folder` with their numbers, also by symbolic links to them."""
    for each in folders_of(folder):
        for entry in _entries(each):
            path = Path(entry.path)
            if not entry.is_dir(follow_symlinks=False) and (number := _number(path)) is not None:
                yield path, number


def _number(path: Path) -> int | None:
    """Return the device number of a character device, None for anything else."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_rdev if stat.S_ISCHR(status.st_mode) else None

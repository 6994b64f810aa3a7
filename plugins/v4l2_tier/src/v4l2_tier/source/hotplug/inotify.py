"""Watcher of /dev by inotify, for systems without udev and netlink."""

import ctypes
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import anyio

from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges
from v4l2_tier.source.node_names import folders_of, is_video_node

__all__ = ("InotifyWatcher",)

# From inotify(7) and <sys/inotify.h>.
_IN_ATTRIB, _IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x4, 0x40, 0x80, 0x100, 0x200
_IN_Q_OVERFLOW, _IN_IGNORED, _IN_ISDIR = 0x4000, 0x8000, 0x40000000
_WATCHED = _IN_ATTRIB | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
_LEFT = _IN_DELETE | _IN_MOVED_FROM
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65536


class InotifyWatcher(HotplugWatcher):
    """Watcher of a folder and those below it for nodes of video devices, which may have any name.

    Args:
        folder: folder of device nodes.
        is_video: tells whether a path is a node of a video device, or a symbolic link to one.

    Raises:
        OSError: inotify is unavailable, the folder is missing, or the limit of watches is reached.
    """

    def __init__(self, folder: Path = Path("/dev"), is_video: Callable[[Path], bool] = is_video_node) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._is_video = is_video
        self._root = folder
        self._folders: dict[int, Path] = {}
        self._known: set[Path] = set()
        self._fd = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        try:
            self._watch(folder)
        except OSError:
            self.close()
            raise
        self._watch_below()

    async def wait(self) -> NodeChanges:
        while True:
            await anyio.wait_readable(self._fd)
            removed: set[Path] = set()
            touched: set[Path] = set()
            is_overrun = False
            for watch, mask, name in _events(os.read(self._fd, _READ_BYTES)):
                is_overrun |= bool(mask & _IN_Q_OVERFLOW)
                self._note(watch, mask, name, removed, touched)
            if removed or touched or is_overrun:
                return NodeChanges(removed_nodes=frozenset(removed), touched_nodes=frozenset(touched))

    def _note(self, watch: int, mask: int, name: str, removed: set[Path], touched: set[Path]) -> None:
        if mask & _IN_IGNORED:
            self._folders.pop(watch, None)
        if watch not in self._folders or not name:
            return
        path = self._folders[watch] / name
        if mask & _IN_ISDIR:
            if not mask & _LEFT:
                touched.update(self._watch_below())
        elif mask & _LEFT:
            if path in self._known:
                self._known.discard(path)
                removed.add(path)
        elif self._is_video(path):
            self._known.add(path)
            touched.add(path)

    def _watch_below(self) -> set[Path]:
        """Watch the folders that are not watched yet; return the nodes in them."""
        watched = set(self._folders.values())
        found: set[Path] = set()
        for folder in folders_of(self._root):
            if folder not in watched:
                with suppress(OSError):  # it is gone again, or the limit is reached
                    found |= self._watch(folder)
        return found

    def _watch(self, folder: Path) -> set[Path]:
        """Watch one folder; return the nodes that it has already."""
        watch = _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _WATCHED))
        self._folders[watch] = folder
        nodes = {path for path in folder.iterdir() if self._is_video(path)}
        self._known |= nodes
        return nodes

    def close(self) -> None:
        os.close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield the watch, the mask and the name of each event."""
    while data:
        watch, mask, _, length = _EVENT.unpack_from(data)
        end = _EVENT.size + length
        yield watch, mask, os.fsdecode(data[_EVENT.size : end].rstrip(b"\0"))
        data = data[end:]

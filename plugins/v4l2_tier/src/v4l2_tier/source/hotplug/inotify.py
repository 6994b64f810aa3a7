"""Watcher of /dev by inotify, for systems without udev and netlink."""

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import anyio

from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges

__all__ = ("InotifyWatcher",)

# From inotify(7) and <sys/inotify.h>.
_IN_ATTRIB, _IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x4, 0x40, 0x80, 0x100, 0x200
_IN_Q_OVERFLOW = 0x4000
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65536


class InotifyWatcher(HotplugWatcher):
    """Watcher of one folder for names that start with `video`.

    Raises:
        OSError: inotify is unavailable, the folder is missing, or the limit of watches is reached.
    """

    def __init__(self, folder: Path = Path("/dev")) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        mask = _IN_ATTRIB | _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
        try:
            _checked(libc.inotify_add_watch(self._fd, os.fsencode(folder), mask))
        except OSError:
            self.close()
            raise

    async def wait(self) -> NodeChanges:
        while True:
            await anyio.wait_readable(self._fd)
            events = [*_events(os.read(self._fd, _READ_BYTES))]
            ours = [(mask, name) for mask, name in events if name.startswith("video")]
            if ours or any(mask & _IN_Q_OVERFLOW for mask, _ in events):
                left = _IN_DELETE | _IN_MOVED_FROM
                return NodeChanges(
                    removed=frozenset(name for mask, name in ours if mask & left),
                    touched=frozenset(name for mask, name in ours if not mask & left),
                )

    def close(self) -> None:
        os.close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _events(data: bytes) -> Iterator[tuple[int, str]]:
    """Yield the mask and name of each event."""
    while data:
        _, mask, _, length = _EVENT.unpack_from(data)
        end = _EVENT.size + length
        yield mask, os.fsdecode(data[_EVENT.size : end].rstrip(b"\0"))
        data = data[end:]

"""Watches of folders by inotify(7): the thinnest binding of libc, as the standard library has none."""

import ctypes
import errno
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from agent_core.base.mounts import is_local

__all__ = ("FolderWatches", "Noticed")

# From <sys/inotify.h>.
_ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _Q_OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW = 0x1000000, 0x2000000
_ENTRIES = _ATTRIB | _CLOSE_WRITE | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_LOST = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
_EVENT = struct.Struct("iIII")
_READ_BYTES = 65536


class Noticed(NamedTuple):
    """Changes since the last look: names by watch, lost watches, and True if the kernel dropped some."""

    names: dict[int, set[str]]
    lost: set[int]
    overflowed: bool


class FolderWatches:
    """Watches of the entries of folders, not of what is below them.

    Args:
        is_local: returns True for a folder that no other machine changes; inotify misses changes by others.

    Raises:
        OSError: inotify is unavailable, or the limit of instances is reached.
    """

    def __init__(self, is_local: Callable[[Path], bool] = is_local) -> None:
        self._is_local = is_local
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._guard = threading.Lock()
        self._users = 0
        self._is_closed = False
        self._fd = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    @property
    def fd(self) -> int:
        """Descriptor that becomes readable when something changes."""
        return self._fd

    def add(self, folder: Path, *, follow: bool = False) -> int:
        """Watch a folder and return the watch's number, the same for one that is watched. Blocks on the disk.

        Raises:
            OSError: the folder is missing or not on a disk of this host, the limit of watches is reached, or `close`
                was called.
        """
        if not self._is_local(folder):
            raise OSError(errno.EOPNOTSUPP, "another machine may change it unnoticed")
        mask = _ENTRIES | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | (0 if follow else _DONT_FOLLOW)
        with self._used():
            return _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), mask))

    def remove(self, watch: int) -> None:
        """End a watch, if it still exists."""
        with suppress(OSError), self._used():
            _checked(self._libc.inotify_rm_watch(self._fd, watch))

    def read(self) -> Noticed:
        """Return what has changed, without waiting."""
        noticed = Noticed({}, set(), overflowed=False)
        with suppress(BlockingIOError):
            while data := os.read(self._fd, _READ_BYTES):
                for watch, mask, name in _events(data):
                    if mask & _Q_OVERFLOW:
                        noticed = noticed._replace(overflowed=True)
                    elif mask & _LOST:
                        noticed.lost.add(watch)
                    elif name:
                        noticed.names.setdefault(watch, set()).add(name)
        return noticed

    def close(self) -> None:
        """End all watches; a task that waits for the descriptor must have ended.

        A thread that a stalled disk still keeps in `add` closes the descriptor when it returns: another file could get
        its number meanwhile.
        """
        with self._guard:
            self._is_closed = True
            self._release()

    @contextmanager
    def _used(self) -> Iterator[None]:
        """Keep the descriptor open."""
        with self._guard:
            if self._is_closed:
                raise OSError(errno.EBADF, "the watches were closed")
            self._users += 1
        try:
            yield
        finally:
            with self._guard:
                self._users -= 1
                self._release()

    def _release(self) -> None:
        if self._is_closed and not self._users and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _events(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield the watch, mask and name of each event."""
    at = 0
    while at < len(data):
        watch, mask, _, length = _EVENT.unpack_from(data, at)
        at += _EVENT.size + length
        yield watch, mask, os.fsdecode(data[at - length : at].rstrip(b"\0"))

"""Downloads: files opened below a folder such that no name, link or race leads out of it."""

import errno
import os
import stat
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Protocol, Self

from agent_core.base.errors import NotFound
from agent_core.base.files import explain_os_error

__all__ = (
    "Described",
    "DirectoryFiles",
    "Downloads",
    "FileResolver",
    "Opened",
    "OpenedFile",
    "Served",
    "ServedFile",
    "media_type",
    "open_beneath",
)

_TYPES = MappingProxyType(
    {".jpg": "image/jpeg", ".png": "image/png", ".mp4": "video/mp4", ".ts": "video/mp2t"}
)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
#: With O_NONBLOCK, opening a FIFO does not wait for a writer.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: Media files have the first of these rights, unless the agent's umask is 0077.
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


@dataclass(frozen=True, slots=True)
class ServedFile:
    """File to serve for a name: `relative` (with `/` between folders) below `root`.

    `next_name` names the file that continues this one, for a `Link` header: a recording's next segment.
    """

    root: Path
    relative: str
    next_name: str | None = None

    @property
    def media_type(self) -> str:
        return media_type(self.relative)

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.relative).suffix

    @property
    def download_name(self) -> str:
        return PurePosixPath(self.relative).name

    def open(self) -> "OpenedFile | None":
        return open_beneath(self)


def media_type(name: str) -> str:
    """Return the media type by the end of a file's name."""
    return _TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")


class Opened(Protocol):
    """Open file of `size_bytes`; as a context manager it closes itself. `etag` names its content."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def modified_s(self) -> float: ...

    @property
    def etag(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_reason: object) -> None: ...

    def read(self, offset: int, size_bytes: int) -> bytes:
        """Return at most `size_bytes` from `offset` on; nothing if the file was truncated. Blocks on the disk."""
        ...


class Described(Protocol):
    """Description of a download. `next_name` names its continuation, for a `Link` header: a recording's next segment."""

    @property
    def media_type(self) -> str: ...

    @property
    def download_name(self) -> str: ...

    @property
    def next_name(self) -> str | None: ...


class Served(Described, Protocol):
    """File to serve for a name."""

    def open(self) -> Opened | None:
        """Open it, or return None if it does not exist. Blocks on the disk.

        Raises:
            OSError: the disk or the operating system refused.
            Unsupported: it exists and cannot be served.
        """
        ...


class FileResolver(Protocol):
    """Mapping of names to files, for one kind of file."""

    def resolve(self, name: str) -> Served | None:
        """Return the file, or None for an unknown name.

        Runs in a worker thread; need not check that the file exists.
        """
        ...


class DirectoryFiles:
    """Resolver of all files below one folder, named by their relative paths."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def resolve(self, name: str) -> ServedFile | None:
        return ServedFile(self._root, name)


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """Open file; as a context manager it closes itself.

    The file may grow; the server sends `size_bytes`, the size at opening. `inode` is the same as long as it is not replaced.
    """

    fd: int
    size_bytes: int
    modified_s: float
    etag: str
    inode: tuple[int, int]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_reason: object) -> None:
        os.close(self.fd)

    def read(self, offset: int, size_bytes: int) -> bytes:
        return os.pread(self.fd, size_bytes, offset)


def open_beneath(file: ServedFile) -> OpenedFile | None:
    """Open a regular file below its root without following symbolic links; return None for anything else.

    Hidden names count as absent: unfinished files have them. So do files with another hard link that only their owner
    may read: a link to the agent's secret leads out of the root. The root itself may be a link, as the operator chose it.

    Raises:
        OSError: this process or this host has no file descriptor left.
    """
    parts = file.relative.split("/")
    if any(part.startswith(".") or not part or "\0" in part for part in parts):
        return None
    try:
        with ExitStack() as held:
            opened = _checked(_open_parts(file.root, parts, held))
            if opened is not None:
                held.pop_all()
            return opened
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise
        return None
    except UnicodeEncodeError:
        return None


def _open_parts(root: Path, parts: list[str], held: ExitStack) -> int:
    """Return the file's descriptor, owned by `held`; close the folders on the way."""
    with ExitStack() as folders:
        folder = _owned(os.open(root, _DIRECTORY), folders)
        for part in parts[:-1]:
            folder = _owned(os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=folder), folders)
        return _owned(os.open(parts[-1], _FILE, dir_fd=folder), held)


def _owned(fd: int, owner: ExitStack) -> int:
    owner.callback(os.close, fd)
    return fd


def _checked(fd: int) -> OpenedFile | None:
    status = os.fstat(fd)
    is_private_elsewhere = status.st_nlink > 1 and not status.st_mode & _READABLE_BY_OTHERS
    if not stat.S_ISREG(status.st_mode) or is_private_elsewhere:
        return None
    etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
    return OpenedFile(fd, status.st_size, status.st_mtime, etag, (status.st_dev, status.st_ino))


class _Running:
    """Open file that counts as being sent until it is closed."""

    def __init__(self, opened: Opened, leave: ExitStack) -> None:
        self._opened = opened
        self._leave = leave

    @property
    def size_bytes(self) -> int:
        return self._opened.size_bytes

    @property
    def modified_s(self) -> float:
        return self._opened.modified_s

    @property
    def etag(self) -> str:
        return self._opened.etag

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *reason: object) -> None:
        with self._leave:
            self._opened.__exit__(*reason)

    def read(self, offset: int, size_bytes: int) -> bytes:
        return self._opened.read(offset, size_bytes)


class Downloads:
    """Files that clients may download, by kind (`snapshots`, `recordings`) and name."""

    def __init__(self, files: Mapping[str, FileResolver]) -> None:
        self._files = dict(files)
        #: Downloads by kind and name. See `_count`.
        self._running: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def is_running(self, kind: str, name: str) -> bool:
        """Return True while a file of that name is being sent, or one below it: a recording's segment. Any thread may call it."""
        with self._lock:
            return self._running[kind, name] > 0

    def _count(self, kind: str, name: str, step: int) -> None:
        """Count a download for its name, for the part before the first `/`, and for that without an end such as `.mp4`."""
        top = name.partition("/")[0]
        with self._lock:
            for each in {name, top, top.partition(".")[0]}:
                self._running[kind, each] += step
                if not self._running[kind, each]:
                    del self._running[kind, each]

    def open(self, kind: str, name: str) -> tuple[Served, Opened]:
        """Open a file for sending; the caller closes it. Blocks on the disk: call it in a worker thread.

        Raises:
            NotFound: there is no such kind or file.
            StorageFailed: no file descriptor is left.
            Unsupported: the file exists and cannot be served.
        """
        self._count(kind, name, 1)
        try:
            served, opened = self._opened(kind, name)
        except BaseException:
            self._count(kind, name, -1)
            raise
        leave = ExitStack()
        leave.callback(self._count, kind, name, -1)
        return served, _Running(opened, leave)

    def _opened(self, kind: str, name: str) -> tuple[Served, Opened]:
        resolver = self._files.get(kind)
        served = resolver.resolve(name) if resolver else None
        try:
            opened = served.open() if served is not None else None
        except OSError as error:
            raise explain_os_error(error, "open a file to send") from error
        if served is None or opened is None:
            raise NotFound(f"There is no such file: {name[:100]!r}.", resource="file", id=name)
        return served, opened

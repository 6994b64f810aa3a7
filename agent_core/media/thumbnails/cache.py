"""Thumbnails on disk, limited in bytes; the one whose last use is longest ago is removed first."""

import hashlib
import logging
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.files import explain_os_error, write_atomic
from agent_core.base.partial_files import remove_abandoned
from agent_core.media.downloads import OpenedFile, ServedFile, open_beneath

__all__ = ("THUMBNAILS_FOLDER", "ThumbnailCache")

_log = logging.getLogger("camera_agent.storage")

#: In the state folder.
THUMBNAILS_FOLDER = "thumbnails"
#: Between the name of the original and the digest of its version, in the name of a thumbnail.
_MARK = "~"
_NAME = re.compile(r"(.+)~([0-9a-f]{16})", re.DOTALL)
#: Smallest space of a file on common file systems. It also bounds the number of thumbnails, and so the memory for them.
_BLOCK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Kept:
    digest: str
    size_bytes: int

    @property
    def space_bytes(self) -> int:
        return -(-self.size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


class ThumbnailCache:
    """Thumbnails in `folder/<kind>/<camera>/<file>~<digest of the version>`.

    Every method blocks on the disk, and only one thread at a time may call one. The folder may be deleted at any time.

    Args:
        folder: the cache, in a folder that only this agent uses; made when needed.
        max_bytes: limit of the space of all thumbnails.
        require: raises StorageFailed while nothing may be written in the folder above.
    """

    def __init__(self, folder: Path, *, max_bytes: int, require: Callable[[], None] = lambda: None) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._require = require
        #: By `<kind>/<camera>/<file>`, the one that was used last at the end. None: not read yet.
        self._known: OrderedDict[str, _Kept] | None = None
        self._bytes = 0

    def open(self, key: str, version: str) -> OpenedFile | None:
        """Open the thumbnail of `key`; return None unless there is one of this version. The caller closes it.

        Raises:
            StorageFailed: no file descriptor is left.
        """
        known = self._loaded()
        kept = known.get(key)
        if kept is None or kept.digest != _digest(version):
            return None
        try:
            opened = open_beneath(ServedFile(self._folder, _relative(key, kept.digest)))
        except OSError as error:
            raise explain_os_error(error, "open a thumbnail") from error
        if opened is not None and opened.size_bytes != kept.size_bytes:
            os.close(opened.fd)
            opened = None
        if opened is None:  # another program, or a broken disk, changed or deleted it
            self._drop(key)
        else:
            known.move_to_end(key)
        return opened

    def put(self, key: str, version: str, data: bytes) -> None:
        """Store a thumbnail, replace the one of another version, and remove others beyond the limit.

        Raises:
            StorageFailed: it cannot be stored.
        """
        known, digest = self._loaded(), _digest(version)
        self._require()
        path = self._folder / _relative(key, digest)
        try:
            for each in (self._folder, path.parent.parent, path.parent):
                each.mkdir(mode=0o700, exist_ok=True)
            write_atomic(path, data, mode=0o600)
        except OSError as error:
            raise explain_os_error(error, "store a thumbnail") from error
        old = self._drop(key)
        if old is not None and old.digest != digest:
            self._unlink(key, old)
        known[key] = _Kept(digest, len(data))
        self._bytes += known[key].space_bytes
        while self._bytes > self._max_bytes:
            self.remove((next(iter(known)),))

    def remove(self, keys: Iterable[str]) -> None:
        """Remove the thumbnails of these keys, if there are any."""
        self._loaded()
        for key in keys:
            if kept := self._drop(key):
                self._unlink(key, kept)

    def keys(self, kind: str) -> list[str]:
        """Return the keys of a kind."""
        return [each for each in self._loaded() if each.startswith(f"{kind}/")]

    def _drop(self, key: str) -> _Kept | None:
        kept = self._loaded().pop(key, None)
        self._bytes -= kept.space_bytes if kept else 0
        return kept

    def _unlink(self, key: str, kept: _Kept) -> None:
        path = self._folder / _relative(key, kept.digest)
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()  # fails unless it is empty

    def _loaded(self) -> "OrderedDict[str, _Kept]":
        """Return what the folder holds, read at the first call and kept in step since."""
        if self._known is None:
            found = sorted(self._stored(), key=lambda each: each[0])
            self._known = OrderedDict((key, kept) for _, key, kept in found)
            self._bytes = sum(each.space_bytes for each in self._known.values())
        return self._known

    def _stored(self) -> Iterator[tuple[int, str, _Kept]]:
        """Yield the time of the last use (ns), the key and the description of each thumbnail on disk."""
        for kind in _entries(self._folder):
            for camera in _entries(Path(kind)):
                with suppress(OSError):
                    remove_abandoned(Path(camera))
                for file in _entries(Path(camera)):
                    if named := _NAME.fullmatch(file.name):
                        yield from _described(f"{kind.name}/{camera.name}/{named[1]}", named[2], file)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return [each for each in entries if not each.is_symlink()]
    except FileNotFoundError:
        return []
    except OSError as error:
        _log.debug("thumbnails are not read: %s", error)
        return []


def _described(key: str, digest: str, file: "os.DirEntry[str]") -> Iterator[tuple[int, str, _Kept]]:
    with suppress(OSError):
        status = file.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and status.st_size:
            yield status.st_atime_ns, key, _Kept(digest, status.st_size)


def _digest(version: str) -> str:
    return hashlib.sha256(version.encode()).hexdigest()[:16]


def _relative(key: str, digest: str) -> str:
    return f"{key}{_MARK}{digest}"

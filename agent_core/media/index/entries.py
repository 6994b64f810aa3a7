"""Entries of the index, and the kinds of media that it knows: each kind is a shelf, a root with one folder per camera."""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from agent_core.base.models import CameraId

__all__ = ("LATEST_NS", "CameraTotals", "IndexEntry", "OldEntry", "Shelf", "Totals", "limited_ns", "looked")

#: Times are limited to this, the year 2116, so that the sum of two fits an SQLite integer (64 bits).
LATEST_NS = (1 << 62) - 1

#: Errors of a file with a wrong owner or a bad block, which others on its disk need not have.
_UNREADABLE = frozenset((errno.EACCES, errno.EPERM, errno.EIO, errno.EUCLEAN, errno.EBADMSG))


def limited_ns(at_ns: int) -> int:
    """Return a time (ns) limited to `-LATEST_NS` and `LATEST_NS`; file systems have earlier and later times."""
    return min(max(at_ns, -LATEST_NS), LATEST_NS)


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """File or folder in a camera's folder, as the index keeps it.

    Attributes:
        file: its name in the camera's folder.
        name: its name in lists; with `at_ns` it gives the order.
        at_ns: POSIX time (ns) by which lists are sorted, from `-LATEST_NS` to `LATEST_NS`.
        size_bytes: bytes of media.
        changed_ns: time of modification (ns) of the file, or of the folder itself.
        is_listed: True if lists show it.
        is_open: True if it may change while `changed_ns` does not: a recording that has not ended.
    """

    file: str
    name: str
    at_ns: int
    size_bytes: int
    changed_ns: int
    is_listed: bool = True
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Totals:
    """Number of listed files, and their bytes."""

    count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class CameraTotals:
    """Number of a camera's listed files, and of those of them that are open."""

    count: int
    open_count: int


class OldEntry(NamedTuple):
    """Listed entry, as retention reads it; the fields are those of `IndexEntry`."""

    at_ns: int
    name: str
    camera: CameraId
    file: str
    size_bytes: int
    is_open: bool


class Shelf(Protocol):
    """One kind of stored media. Every method blocks on the disk."""

    @property
    def kind(self) -> str:
        """Name of the kind in the index; permanent."""
        ...

    @property
    def root(self) -> Path: ...

    @property
    def is_flat(self) -> bool:
        """True if an entry is a file; False for a folder, in which things change that a watch above does not see."""
        ...

    @property
    def scanner(self) -> Sequence[str]:
        """Program that scans one camera, with its arguments; the camera's id is the last argument. See `scan`."""
        ...

    def check(self) -> None:
        """Raise StorageFailed while the disk is not there: then nothing that is missing was deleted."""
        ...

    def files(self, camera: CameraId) -> Iterator[str]:
        """Yield the names in the camera's folder that `look` may accept. Raises OSError."""
        ...

    def look(self, camera: CameraId, file: str) -> IndexEntry | None:
        """Return the entry as it is now; None if there is none. Raises OSError if the disk fails."""
        ...


def looked(shelf: Shelf, camera: CameraId, file: str) -> IndexEntry | None:
    """Return the entry as it is now; None if there is none. Blocks on the disk.

    One that cannot be read is not listed, and open, so that every sweep looks at it again: it must not keep the others
    out of the index.

    Raises:
        OSError: another fault, such as too many open files.
    """
    try:
        return shelf.look(camera, file)
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        return IndexEntry(file, file, 0, 0, 0, is_listed=False, is_open=True)

"""Stored files of which thumbnails are made, by kind.

A module of its own: the packages of snapshots and recordings implement `Originals`, and the service uses it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent_core.media.downloads import OpenedFile

__all__ = ("Original", "Originals")


@dataclass(frozen=True, slots=True)
class Original:
    """Stored snapshot, or the first file of a recording, open for reading; its receiver closes `opened`.

    Attributes:
        item: `<camera>/<file>`, unique among its kind.
        opened: the open file.
        suffix: end of its name, with the dot.
        is_growing: True while a program appends to it. Its first picture stays the same.
    """

    item: str
    opened: OpenedFile
    suffix: str
    is_growing: bool = False

    @property
    def version(self) -> str:
        """Word that changes when the file is replaced, and if it does not grow, also when its content changes."""
        return "-".join(map(str, self.opened.inode)) if self.is_growing else self.opened.etag


class Originals(Protocol):
    """One kind of stored media."""

    @property
    def can_make(self) -> bool:
        """False if nothing can decode these files."""
        ...

    async def find(self, name: str) -> Original:
        """Open the original with the name that clients use.

        Raises:
            NotFound: there is none.
            StorageFailed: the disk is not there, or refused.
            Unsupported: the files are on another host.
        """
        ...

    async def make(self, original: Original) -> bytes:
        """Return a thumbnail, a JPEG. The caller limits the time and may cancel this at any `await`.

        Raises:
            AgentError: there can be none, now or ever.
        """
        ...

    def remaining(self, items: Sequence[str]) -> Collection[str]:
        """Return those of `items` that exist. Blocks on the disk.

        Raises:
            StorageFailed: the disk is not there, or refused.
        """
        ...

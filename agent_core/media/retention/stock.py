"""One kind of stored media, as retention sees it: what there is, and how it is deleted.

Apart from the cleaner, so that the stores of recordings and snapshots need not know it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent_core.base.errors import StorageFailed
from agent_core.media.index import OldEntry
from agent_core.media.retention.views import MediaView

__all__ = ("Freed", "Stock")


@dataclass(frozen=True, slots=True)
class Freed:
    """Result of deleting files, of which a recording counts as one.

    Attributes:
        files, size_bytes: number of deleted files, and their bytes.
        failed, failed_bytes: the same of those that could not be deleted.
        fault: sentences about the first of these; empty without one.
    """

    files: int = 0
    size_bytes: int = 0
    failed: int = 0
    failed_bytes: int = 0
    fault: str = ""

    @classmethod
    def failure(cls, entry: OldEntry, error: StorageFailed) -> "Freed":
        """Return the result of one file that could not be deleted."""
        said = f"{entry.name}: {error.details} {error.suggestion}"
        return cls(failed=1, failed_bytes=entry.size_bytes, fault=said)

    def __add__(self, other: "Freed") -> "Freed":
        return Freed(
            self.files + other.files,
            self.size_bytes + other.size_bytes,
            self.failed + other.failed,
            self.failed_bytes + other.failed_bytes,
            self.fault or other.fault,
        )


class Stock(Protocol):
    """One kind of stored media."""

    @property
    def kind(self) -> str:
        """Name of the kind: `recordings` or `snapshots`."""
        ...

    async def view(self, *, from_folders: bool) -> MediaView | None:
        """Return what there is, by the index; None while the index is not settled.

        Args:
            from_folders: read the folders instead, which is slow with many files.

        Raises:
            StorageFailed: the disk is not there, or the folder cannot be read.
        """
        ...

    async def delete(self, entries: Sequence[OldEntry], *, older_than: datetime | None) -> Freed:
        """Delete files, each looked at on disk before; leave those that are open, in use or gone.

        Runs each deletion to its end even if cancelled.

        Args:
            entries: some files, few enough for one step.
            older_than: delete only files whose newest time is before this; None: regardless of their time.

        Raises:
            StorageFailed: the disk is not there, or mounted read-only.
        """
        ...

"""Room on a disk: free bytes, and free inodes, without which no file can be made."""

import os
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.read_only import is_read_only

__all__ = ("LOW_INODES", "Room", "nearest_folder")

#: A day of snapshots may need this many inodes; fewer free ones are a warning.
LOW_INODES = 1000


@dataclass(frozen=True, slots=True)
class Room:
    """Room that the agent's account may use; `free_inodes` is None on a file system without a fixed number of them.

    `used_bytes` and the room reserved for root are the rest of `total_bytes`. `is_read_only`: the disk takes no writes.
    """

    free_bytes: int
    free_inodes: int | None
    used_bytes: int = 0
    total_bytes: int = 0
    is_read_only: bool = False

    @property
    def used_ratio(self) -> float:
        """Used part of what can be used, 0 to 1, as `df` shows it: space kept for root counts as neither."""
        return self.used_bytes / max(1, self.used_bytes + self.free_bytes)

    @classmethod
    def of(cls, folder: Path) -> "Room":
        """Return the room on the disk of `folder`. Blocks on the disk.

        Raises:
            OSError: the folder does not exist, or the disk fails.
        """
        status = os.statvfs(folder)
        return cls(
            free_bytes=status.f_bavail * status.f_frsize,
            free_inodes=status.f_favail if status.f_files else None,
            total_bytes=status.f_blocks * status.f_frsize,
            used_bytes=(status.f_blocks - status.f_bfree) * status.f_frsize,
            is_read_only=is_read_only(folder),
        )


def nearest_folder(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists. Blocks on the disk."""
    return next(each for each in (folder, *folder.parents) if each.exists())

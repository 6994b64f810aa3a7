"""Records of volumes: what the agent remembers of each, and the decision whether another may take its place.

Apart from `volumes`, so that the decision is tested without a disk.
"""

from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ("VolumeRecord", "VolumeRecords")

#: Disks that are exchanged in turn are all known; more than these are forgotten, the oldest first.
_KEPT = 16


class VolumeRecord(BaseModel):
    """Volume at `root` when it was last used.

    Attributes:
        mount_point: where its file system was mounted.
        is_separate: it can vanish while the state folder stays.
        uuids: of the volumes that were used there, the last one used last.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    root: str
    mount_point: str
    is_separate: bool
    uuids: tuple[str, ...]

    @classmethod
    def of(cls, root: str, mount_point: str, uuids: tuple[str, ...], *, is_separate: bool) -> "VolumeRecord":
        """Return a record with each of `uuids` once, at its last place."""
        once = tuple(dict.fromkeys(reversed(uuids)))[::-1]
        return cls(root=root, mount_point=mount_point, is_separate=is_separate, uuids=once[-_KEPT:])

    def may_be_replaced(self, mount_point: str) -> bool:
        """Return True if an unknown volume at the root, now below `mount_point`, may be used instead.

        True where no disk can be missing: the folder was emptied, or a disk was mounted where none was.
        """
        if mount_point == self.mount_point:
            return not self.is_separate
        return PurePosixPath(mount_point).is_relative_to(self.mount_point)


class VolumeRecords(BaseModel):
    """Content of the file that keeps the records."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    version: Literal[1] = 1
    volumes: tuple[VolumeRecord, ...] = ()

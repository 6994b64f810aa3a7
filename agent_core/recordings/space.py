"""Room on the disk for recordings: the floor below which none starts, and the errors of a disk below it."""

from pathlib import Path

from agent_core.base.errors import StorageFailed
from agent_core.base.files import explain_os_error
from agent_core.base.room import Room
from agent_core.recordings.problems import disk_full, low_space

__all__ = ("FULL_BYTES", "floor_bytes", "is_low", "room_of", "why_full", "why_low")

#: With less free space than this the disk counts as full: a fragment of a recording would not fit.
FULL_BYTES = 1 << 20
#: Default floor, and the largest part of a disk that it may be.
_FLOOR_BYTES, _FLOOR_PART = 256 << 20, 0.05
#: Free space, as a multiple of the floor, at which a disk that was below it has room again.
_RECOVERED = 1.1


def floor_bytes(total_bytes: int, configured_bytes: int | None) -> int:
    """Return the floor for a disk of that size; None stands for the default."""
    if configured_bytes is not None:
        return configured_bytes
    return min(_FLOOR_BYTES, int(total_bytes * _FLOOR_PART))


def is_low(free_bytes: int, floor: int, *, was_low: bool) -> bool:
    """Return True while the disk is below its floor; it recovers only some way above, so that this does not flicker."""
    return free_bytes < (floor * _RECOVERED if was_low else floor)


def room_of(root: Path) -> Room:
    """Return the room on the disk of recordings. Blocks on the disk.

    Raises:
        StorageFailed: the folder is missing or cannot be read.
    """
    try:
        return Room.of(root)
    except OSError as error:
        raise explain_os_error(error, "read the free space of the folder of recordings") from error


def why_full(root: Path) -> StorageFailed | None:
    """Return the error for a disk without room to record; None if there is room. Raises as `room_of`."""
    room = room_of(root)
    if room.free_inodes == 0:
        return disk_full(has_inodes=False)
    return disk_full() if room.free_bytes < FULL_BYTES else None


def why_low(root: Path, min_free_bytes: int | None) -> StorageFailed | None:
    """Return the error for a disk below its floor; None if there is more room. Raises as `room_of`."""
    room = room_of(root)
    floor = floor_bytes(room.total_bytes, min_free_bytes)
    return low_space(room.free_bytes, floor) if room.free_bytes < floor else None

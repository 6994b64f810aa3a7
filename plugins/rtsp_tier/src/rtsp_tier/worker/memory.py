"""Memory of this process."""

import ctypes
import os
from pathlib import Path

__all__ = ("resident_bytes", "return_memory")

#: Parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
#: Blocks from this size on go back to the system when they are freed: pictures, but not packets.
_LARGE_BYTES = 512 << 10


def return_memory() -> None:
    """Let glibc return freed memory to the system; call it before threads start.

    By default each thread allocates from an arena of its own, whose free memory the others do not use, and glibc raises
    the limit for large blocks when one is freed. With other C libraries it has no effect.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

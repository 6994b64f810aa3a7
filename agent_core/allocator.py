"""The C library's allocator, told that this process lives for years and passes pictures through.

glibc raises the size from which it maps a block on its own whenever such a block is freed. After that, the buffers in
which pictures arrive (256 KiB, cut down to the picture) come from the heap, and what lives on between them keeps the
heap large: in half an hour of the soak with twenty cameras the process grew from 84 to 102 MiB, of which 14 were free.
"""

import ctypes

__all__ = ("keep_memory_compact",)

#: mallopt(3) and <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_BLOCK_BYTES = 128 << 10
#: Worker threads take turns; each with a heap of its own would cost more than waiting for one another.
_ARENAS = 2


def keep_memory_compact() -> bool:
    """Hold glibc to its initial limits; False where the C library has nothing to hold (musl).

    For a process that is an agent and nothing else; cannot be undone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    limits = ((_M_MMAP_THRESHOLD, _BLOCK_BYTES), (_M_TRIM_THRESHOLD, _BLOCK_BYTES), (_M_ARENA_MAX, _ARENAS))
    return all(mallopt(name, value) == 1 for name, value in limits)

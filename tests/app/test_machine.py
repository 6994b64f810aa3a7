"""Settings of the allocator, seen in how it serves blocks; in a process of its own, since they cannot be undone."""

import platform
import sys

import anyio
import pytest

LOOK = """
import ctypes
from agent_core.app.machine import keep_memory_compact

class Info(ctypes.Structure):
    _fields_ = [(str(number), ctypes.c_size_t) for number in range(10)]

libc = ctypes.CDLL(None)
libc.mallinfo2.restype = Info
mapped_bytes = lambda: getattr(libc.mallinfo2(), "4")
{call}
bytearray(8 << 20)  # freed at once, after which glibc by itself maps nothing so small any more
before_bytes = mapped_bytes()
kept = bytearray(1 << 20)
print(mapped_bytes() - before_bytes >= len(kept))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize(("call", "mapped"), [("keep_memory_compact()", b"True"), ("", b"False")])
async def test_large_blocks_go_back_to_the_system_when_they_are_freed(call: str, mapped: bytes) -> None:
    ended = await anyio.run_process([sys.executable, "-c", LOOK.format(call=call)])
    assert ended.stdout.strip() == mapped

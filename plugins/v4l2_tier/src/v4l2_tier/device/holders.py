"""Search for the processes that have a device open."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ("Holder", "holders_of")


@dataclass(frozen=True, slots=True)
class Holder:
    """Process that has a device open; `program` is the kernel's name of it, at most 15 characters."""

    pid: int
    program: str


def holders_of(node: Path) -> tuple[Holder, ...]:
    """Return the other processes that have the device `node` open, under any name.

    Only root sees the descriptors of other users' processes. For other users the result may be incomplete, even empty.
    """
    try:
        status = node.stat()
    except OSError:
        return ()
    if not stat.S_ISCHR(status.st_mode):
        return ()
    own = os.getpid()
    return tuple(
        Holder(pid, _program(pid))
        for pid in sorted(_processes())
        if pid != own and _has_open(pid, status.st_rdev)
    )


def _processes() -> Iterator[int]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            yield int(process.name)


def _has_open(pid: int, device: int) -> bool:
    try:
        descriptors = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or belongs to another user
        return False
    return any(_is_device(descriptor, device) for descriptor in descriptors)


def _is_device(descriptor: Path, device: int) -> bool:
    try:
        status = descriptor.stat()
    except OSError:
        return False
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == device


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "a process that has ended"

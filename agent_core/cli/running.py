"""Agents and other programs that run on this host, as the kernel reports them in /proc."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from agent_core.base.small_files import read_small

__all__ = (
    "RunningAgent",
    "announced",
    "is_descendant",
    "listener_pid",
    "listener_pids",
    "lock_holder",
    "program_name",
    "running_agents",
)

_PROC = Path("/proc")
_LOCK_FILE = "agent.lock"
_ANNOUNCEMENT = "endpoint.json"
#: An announcement has a few hundred bytes; a larger file is not one.
_LIMIT_BYTES = 65_536
#: The state LISTEN of /proc/net/tcp.
_LISTENING = "0A"


@dataclass(frozen=True, slots=True)
class RunningAgent:
    """Agent whose process exists. `config_files` are the files that it has read, in order."""

    pid: int
    url: str
    state_dir: Path
    config_files: tuple[Path, ...]


def announced(state_dir: Path) -> RunningAgent | None:
    """Return the agent announced in this state folder; None without one, or if its process is gone."""
    path = state_dir / _ANNOUNCEMENT
    try:
        stored = json.loads(read_small(path, limit_bytes=_LIMIT_BYTES, private=True))
        pid = int(stored["pid"])
        files = tuple(Path(str(each)) for each in stored.get("config_files", ()))
        if not (_PROC / str(pid)).exists():
            return None
        return RunningAgent(pid, str(stored["url"]), state_dir, files)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def running_agents() -> list[RunningAgent]:
    """Return the agents of this user (for root, of all users) that hold the lock of their state folder."""
    folders = {
        Path(target).parent
        for _, target in _open_files()
        if target.startswith("/") and target.endswith(f"/{_LOCK_FILE}")
    }
    found = (announced(folder) for folder in sorted(folders))
    return [each for each in found if each is not None]


def lock_holder(path: Path) -> int | None:
    """Return the process that holds a flock(2) on a file or folder; None if none does or it is not visible."""
    try:
        status = path.stat()
        lines = (_PROC / "locks").read_text().splitlines()
    except OSError:
        return None
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    for line in lines:
        words = line.split()
        if len(words) >= 6 and words[1] == "FLOCK" and words[5] == inode and words[4].isdigit():
            return int(words[4])
    return None


def listener_pid(port: int) -> int | None:
    """Return the process that listens on a TCP port of this host, if it is visible to this user."""
    return next(_listeners(port), None)


def listener_pids(port: int) -> frozenset[int]:
    """Return the processes that listen on a TCP port of this host, on any address, if visible to this user."""
    return frozenset(_listeners(port))


def _listeners(port: int) -> Iterator[int]:
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    return (pid for pid, target in _open_files() if target in sockets) if sockets else iter(())


def is_descendant(pid: int, ancestor: int) -> bool:
    """Return True if a process is `ancestor` or was started below it, as far as its parents still run."""
    seen = set()
    while pid not in seen and pid > 0:
        if pid == ancestor:
            return True
        seen.add(pid)
        pid = _parent(pid)
    return False


def _parent(pid: int) -> int:
    """Return the parent of a process; 0 if the process is gone."""
    with suppress(OSError, ValueError, IndexError):
        # After the name, which may contain anything: state, parent.
        return int((_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    return 0


def program_name(pid: int) -> str:
    """Return `name (process N)`."""
    with suppress(OSError):
        return f"{(_PROC / str(pid) / 'comm').read_text(errors='replace').strip()} (process {pid})"
    return f"process {pid}"


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in (_PROC / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == _LISTENING and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9]


def _open_files() -> Iterator[tuple[int, str]]:
    """Yield (process, target) of all open files that this user may read in /proc."""
    for process in _PROC.iterdir():
        if not process.name.isdigit():
            continue
        with suppress(OSError), os.scandir(process / "fd") as entries:
            for entry in entries:
                with suppress(OSError):
                    yield int(process.name), os.readlink(entry.path)  # noqa: PTH115 - "socket:[1]" is not a path

"""Locks between tasks, by key, and between processes, by folder."""

import fcntl
import os
from collections.abc import AsyncIterator, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import anyio

from agent_core.base.errors import StartFailed
from agent_core.base.files import explain_os_error
from agent_core.base.small_files import open_regular, refuse_foreign

__all__ = ("InstanceLock", "KeyedLock", "leads_to", "lock_file")


@dataclass
class _Entry:
    """Lock of one key, and how many callers hold it or wait for it."""

    lock: anyio.Lock = field(default_factory=anyio.Lock)
    users: int = 0


class KeyedLock:
    """Lock per key, made on first use and discarded when no caller holds it or waits for it.

    A caller may be cancelled while it holds the lock or waits for it.
    """

    def __init__(self) -> None:
        self._entries: dict[Hashable, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @asynccontextmanager
    async def hold(self, key: Hashable) -> AsyncIterator[None]:
        entry = self._entries.setdefault(key, _Entry())
        entry.users += 1
        try:
            async with entry.lock:
                yield
        finally:
            entry.users -= 1
            if not entry.users:
                del self._entries[key]


def leads_to(path: Path, descriptor: int) -> bool:
    """Return True while `path` is the open file or folder itself, not a link to it or a replacement."""
    with suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, made if there is none, against other processes and threads. Waits for the lock.

    For changes of a file that is replaced, and so cannot be locked itself: read, change, write. The lock file stays.

    Raises:
        OSError: the file cannot be made, opened or locked.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class InstanceLock:
    """Lock that allows one `what` per folder. The kernel releases it however the process ends.

    Args:
        folder: an existing folder that only this account may write to.
        what: the program that may use the folder only once at a time, for messages.
        name: name of the lock file, without its suffix; default: `what`.
        kind: kind of folder, for messages.
        setting: the configuration key of the folder, for messages.
        shown: the folder's name in messages; default: its path.
        flock: locks a descriptor, as `fcntl.flock`.
    """

    def __init__(
        self,
        folder: Path,
        *,
        what: str = "agent",
        name: str | None = None,
        kind: str = "state folder",
        setting: str = "storage.state_dir",
        shown: str | None = None,
        flock: Callable[[int, int], None] = fcntl.flock,
    ) -> None:
        self._path = folder / f"{name or what.replace(' ', '_')}.lock"
        self._what = what
        shown = str(folder) if shown is None else shown
        self._place = f"{kind}, {shown}" if shown else kind
        self._setting = setting
        self._flock = flock
        self._fd = -1

    @property
    def is_whole(self) -> bool:
        """True while the held lock file is still at its path, where another process finds it."""
        return leads_to(self._path, self._fd)

    def __enter__(self) -> None:
        try:
            self._fd = self._open()
            try:
                self._flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._fd)
                raise
        except BlockingIOError as error:
            raise StartFailed(
                f"Another {self._what} uses this {self._place}.",
                reason="already_running",
                suggestion=f"Stop it, or set {self._setting} to another folder.",
            ) from error
        except OSError as error:
            why = explain_os_error(error, f"lock the {self._place}")
            step = self._taken_by_another_account() if isinstance(error, PermissionError) else None
            raise StartFailed(why.details, reason=why.reason, suggestion=step or why.suggestion) from error

    def _taken_by_another_account(self) -> str | None:
        """Return the next step if the lock file is there but not this account's, as after a backup restored by root."""
        with suppress(OSError):
            if self._path.lstat().st_uid != os.geteuid():
                own = f"chown --recursive {os.geteuid()}: {self._path.parent}"
                return f"{self._path.name} in it belongs to another account: run `{own}` as root."
        return None

    def _open(self) -> int:
        """Open or make the lock file, closed to the group: an account that can read a file can lock it."""
        with suppress(FileExistsError):
            made = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._give_to_owner(made)
            return made
        descriptor = open_regular(self._path, os.O_RDWR)
        try:
            refuse_foreign(self._path, os.fstat(descriptor))
            os.fchmod(descriptor, 0o600)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def _give_to_owner(self, made: int) -> None:
        """Give root's lock file to the folder's account, which could otherwise not lock it afterwards."""
        if os.geteuid() == 0:
            owner = self._path.parent.stat()
            with suppress(OSError):  # file systems without accounts
                os.fchown(made, owner.st_uid, owner.st_gid)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

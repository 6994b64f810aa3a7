"""Folders that one agent claims before it touches anything in them."""

import fcntl
import logging
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from types import TracebackType

import anyio

from agent_core.clock import Clock
from agent_core.config import StorageConfig
from agent_core.errors import StartFailed
from agent_core.small_files import open_regular
from agent_core.socket_place import LOOK_S
from agent_core.state import explain_os_error, make_folder

__all__ = ("InstanceLock", "RuntimeFolder", "claimed_folders", "own_folder")

_log = logging.getLogger("camera_agent.app")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
#: systemd-tmpfiles locks a folder for as long as it looks through it.
_LOCK_ATTEMPTS, _LOCK_PAUSE_S = 5, 0.2


class RuntimeFolder:
    """The folder for sockets, held by a lock.

    The lock is on the folder itself: there is no lock file to delete, and systemd-tmpfiles, which removes old files
    below /tmp, leaves a locked folder alone.
    """

    def __init__(self, path: Path, held: ExitStack) -> None:
        self._path = path
        self._held = held
        self._folder = -1

    async def claim(self) -> None:
        """Make and lock the folder, in place of one that was held before.

        Raises:
            StartFailed: as for `claimed_folders`.
        """
        self._held.close()
        self._folder = self._held.enter_context(own_folder(self._path, "storage.runtime_dir", follow=False))
        await _lock(self._folder, self._path)

    def clear(self) -> None:
        """Remove what an agent that was killed left: sockets of this account, and nothing else."""
        for name in os.listdir(self._folder):  # noqa: PTH208 - the open folder: its path may lead elsewhere by now
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
                is_ours = stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid()
                if name.endswith(".sock") and is_ours:
                    os.unlink(name, dir_fd=self._folder)

    async def keep(self, clock: Clock) -> None:
        """Claim the folder again when it has been deleted or moved; until cancelled.

        Raises:
            StartFailed: another agent was quicker.
        """
        while True:
            await clock.sleep(LOOK_S)
            with suppress(OSError):
                if os.path.samestat(self._path.lstat(), os.fstat(self._folder)):
                    continue
            _log.warning("the folder %s has vanished and is made again", self._path)
            await self.claim()


@asynccontextmanager
async def claimed_folders(storage: StorageConfig) -> AsyncIterator[RuntimeFolder]:
    """Make the state folder and the runtime folder, lock both, then clear the runtime folder of old sockets.

    An agent that already runs in one of the two folders keeps all it has: nothing is removed before both locks are
    held. The kernel gives the locks back however the agent ends.

    Raises:
        StartFailed: `already_running`; `foreign_folder`, `linked_folder`, `open_folder`: another account could
            change what is in the folder; or the folder cannot be made.
    """
    with (
        own_folder(storage.state_dir, "storage.state_dir", follow=True),
        InstanceLock(storage.state_dir),
        ExitStack() as held,
    ):
        folder = RuntimeFolder(storage.runtime_dir, held)
        await folder.claim()
        folder.clear()
        yield folder


@contextmanager
def own_folder(path: Path, setting: str, *, follow: bool, shown: str = "") -> Iterator[int]:
    """Make `path` where it is missing, and open it; what is in it is then this account's alone to change.

    A folder of this account that others may write to is closed to them, and that is logged.

    Args:
        path: the folder.
        setting: the configuration key that can name another folder, for messages.
        follow: accept a symbolic link that this account or root has made, as systemd does for `StateDirectory`.
        shown: what messages call the folder; default: its path.

    Raises:
        StartFailed: as for `claimed_folders`.
    """
    shown = shown or str(path)
    try:
        make_folder(path)
        if path.is_symlink() and not (follow and path.lstat().st_uid in {0, os.geteuid()}):
            raise _refused(shown, setting, "is a symbolic link", "linked_folder", "Remove the link")
        descriptor = os.open(path, _DIRECTORY | (0 if follow else os.O_NOFOLLOW))
    except OSError as error:
        why = explain_os_error(error, f"make the folder {shown}")
        raise StartFailed(why.details, reason=why.reason, suggestion=why.suggestion) from error
    try:
        _close_to_others(descriptor, shown, setting)
        yield descriptor
    finally:
        os.close(descriptor)


def _close_to_others(descriptor: int, shown: str, setting: str) -> None:
    status = os.fstat(descriptor)
    if status.st_uid not in {0, os.geteuid()}:
        mend = f"Run chown {_account()} on it as root"
        raise _refused(shown, setting, "belongs to another account", "foreign_folder", mend)
    if not status.st_mode & _WRITABLE_BY_OTHERS:
        return
    with suppress(PermissionError):
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~_WRITABLE_BY_OTHERS)
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    if mode & _WRITABLE_BY_OTHERS:
        mend = "Run chmod go-w on it as its owner"
        raise _refused(shown, setting, "can be written to by other accounts", "open_folder", mend)
    _log.warning("other accounts could write to the folder %s; its mode is now %04o", shown, mode)


def _account() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _refused(shown: str, setting: str, fault: str, reason: str, mend: str) -> StartFailed:
    return StartFailed(
        f"The folder {shown} {fault}.",
        reason=reason,
        suggestion=f"{mend}, or set {setting} to a folder of the agent's own.",
    )


async def _lock(folder: int, path: Path) -> None:
    for attempt in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if attempt + 1 == _LOCK_ATTEMPTS:
                raise _in_use("agent", "runtime folder", str(path), "storage.runtime_dir") from error
            await anyio.sleep(_LOCK_PAUSE_S)
        except OSError as error:  # not every file system has such locks
            _log.warning("the folder %s cannot be locked: %s", path, error.strerror)
            return
        else:
            return


def _in_use(what: str, kind: str, shown: str, setting: str) -> StartFailed:
    place = f"{kind}, {shown}" if shown else kind
    return StartFailed(
        f"Another {what} uses this {place}.",
        reason="already_running",
        suggestion=f"Stop it, or set {setting} to another folder.",
    )


class InstanceLock:
    """One agent a state folder. The kernel gives the lock back however the agent ends.

    Args:
        state_dir: the folder; it exists.
        what: of which there may be one there; the lock's file is named after it.
        shown: what messages call the folder; default: its path.
    """

    def __init__(self, state_dir: Path, *, what: str = "agent", shown: str | None = None) -> None:
        self._shown = str(state_dir) if shown is None else shown
        self._path = state_dir / f"{what.replace(' ', '_')}.lock"
        self._what = what
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._fd = self._open()
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise _in_use(self._what, "state folder", self._shown, "storage.state_dir") from error
        except OSError as error:
            why = explain_os_error(error, f"lock {self._shown or self._path.name}")
            raise StartFailed(why.details, reason=why.reason, suggestion=why.suggestion) from error

    def _open(self) -> int:
        with suppress(FileExistsError):
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
        return open_regular(self._path, os.O_RDWR)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

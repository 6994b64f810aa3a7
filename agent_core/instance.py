"""Folders that one agent claims before it touches anything in them."""

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from agent_core.clock import Clock
from agent_core.config import StorageConfig
from agent_core.errors import StartFailed
from agent_core.small_files import open_regular, refuse_foreign
from agent_core.socket_place import LOOK_S
from agent_core.state import explain_os_error, make_folder

__all__ = ("InstanceLock", "RuntimeFolder", "claimed_folders", "own_folder")

_log = logging.getLogger("camera_agent.app")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class RuntimeFolder:
    """The folder for sockets, held by a lock for as long as `held` is open."""

    def __init__(self, path: Path, held: ExitStack) -> None:
        self._path = path
        self._held = held
        self._folder = -1
        self._lock = InstanceLock(path, name="runtime", kind="runtime folder", setting="storage.runtime_dir")

    def claim(self) -> None:
        """Make and lock the folder, in place of one that was held before.

        Raises:
            StartFailed: as for `claimed_folders`.
        """
        self._held.close()
        self._folder = self._held.enter_context(own_folder(self._path, "storage.runtime_dir", follow=False))
        self._held.enter_context(self._lock)
        # The lock is a file because other accounts may be let into the folder, and could lock that. This is for
        # systemd-tmpfiles, which removes old files below /tmp: it leaves a locked folder alone.
        with suppress(OSError):
            fcntl.flock(self._folder, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def clear(self) -> None:
        """Remove what an agent that was killed left: sockets of this account, and nothing else."""
        for name in os.listdir(self._folder):  # noqa: PTH208 - the open folder: its path may lead elsewhere by now
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
                is_ours = stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid()
                if name.endswith(".sock") and is_ours:
                    os.unlink(name, dir_fd=self._folder)

    async def keep(self, clock: Clock) -> None:
        """Claim the folder again when it, or its lock, has been deleted or moved; until cancelled.

        Raises:
            StartFailed: another agent was quicker.
        """
        while True:
            await clock.sleep(LOOK_S)
            if not (_leads_to(self._path, self._folder) and self._lock.is_whole):
                _log.warning("the folder %s, or the lock in it, has vanished and is made again", self._path)
                self.claim()


def _leads_to(path: Path, descriptor: int) -> bool:
    with suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False


@contextmanager
def claimed_folders(storage: StorageConfig) -> Iterator[RuntimeFolder]:
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
        folder.claim()
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
        _refuse_foreign_folder(descriptor, path, shown, setting)
        _close_to_others(descriptor, shown, setting)
        yield descriptor
    finally:
        os.close(descriptor)


def _refuse_foreign_folder(descriptor: int, path: Path, shown: str, setting: str) -> None:
    if os.fstat(descriptor).st_uid in {0, os.geteuid()}:
        return
    # Below /tmp another account has taken the name: what it has put there is nothing to keep.
    is_below_tmp = path.parent.stat().st_mode & stat.S_ISVTX
    mend = "Remove it as root" if is_below_tmp else f"Run chown {_account()} on it as root"
    raise _refused(shown, setting, "belongs to another account", "foreign_folder", mend)


def _close_to_others(descriptor: int, shown: str, setting: str) -> None:
    status = os.fstat(descriptor)
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


class InstanceLock:
    """One agent a folder. The kernel gives the lock back however the agent ends.

    Args:
        folder: it exists, and only this account may write to it.
        what: of which there may be one there.
        name: of the lock's file, without its suffix; default: `what`.
        kind: what messages call such a folder.
        setting: the configuration key that can name another folder.
        shown: the folder's name in messages; default: its path.
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
    ) -> None:
        self._path = folder / f"{name or what.replace(' ', '_')}.lock"
        self._what = what
        shown = str(folder) if shown is None else shown
        self._place = f"{kind}, {shown}" if shown else kind
        self._setting = setting
        self._fd = -1

    @property
    def is_whole(self) -> bool:
        """Whether the lock that is held is still the one that another agent would find."""
        return _leads_to(self._path, self._fd)

    def __enter__(self) -> None:
        try:
            self._fd = self._open()
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
            raise StartFailed(why.details, reason=why.reason, suggestion=why.suggestion) from error

    def _open(self) -> int:
        """Closed to the group: an account that can read a file can hold a lock on it."""
        with suppress(FileExistsError):
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        descriptor = open_regular(self._path, os.O_RDWR)
        try:
            refuse_foreign(self._path, os.fstat(descriptor))
            os.fchmod(descriptor, 0o600)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

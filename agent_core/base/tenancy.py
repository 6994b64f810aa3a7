"""Tenancy of a folder of stored files: one agent at a time may write to it, whichever state folder it has."""

import errno
import fcntl
import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from agent_core.base.errors import StartFailed, StorageFailed
from agent_core.base.locks import InstanceLock
from agent_core.base.small_files import UnsafeFile

__all__ = ("IN_USE", "LOCK_NAME", "Tenancy")

_log = logging.getLogger("camera_agent.volumes")

#: Reason of the error for a folder that another agent has locked.
IN_USE = "folder_in_use"
#: Name of the lock file, without its suffix. Lists of stored files leave out what begins with a dot.
LOCK_NAME = ".camera-agent"
#: What a file system answers that has no locks, such as a network disk without a lock service.
_WITHOUT_LOCKS = frozenset({errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL})


class Tenancy:
    """Lock on a folder, taken again whenever another folder or disk is in its place. Any thread may call it.

    The lock is an open file, so the folder's disk cannot be unmounted meanwhile. The kernel releases it however the
    process ends, and `__exit__` does.

    Args:
        folder: the folder.
        name: what is stored in it, for messages.
        setting: the configuration key of the folder, for messages.
        flock: locks a descriptor, as `fcntl.flock`.
    """

    def __init__(
        self, folder: Path, *, name: str, setting: str, flock: Callable[[int, int], None] = fcntl.flock
    ) -> None:
        self._folder, self._flock = folder, flock
        self._name, self._setting = name, setting
        self._mutex = threading.Lock()
        self._held = ExitStack()
        self._lock: InstanceLock | None = None
        self._has_warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()

    def take(self) -> None:
        """Lock the folder, which must exist, unless this object has. Blocks on the disk, but never on the other agent.

        A file system without locks is logged, once, and the folder used as it is.

        Raises:
            StorageFailed: `folder_in_use`: another agent has locked it; or the lock file cannot be opened.
        """
        with self._mutex:
            if self._lock is not None and self._lock.is_whole:
                return
            self._let_go()
            lock = InstanceLock(
                self._folder,
                name=LOCK_NAME,
                kind=f"folder of {self._name}",
                setting=self._setting,
                shown="",
                flock=self._flock,
            )
            try:
                self._held.enter_context(lock)
            except StartFailed as error:
                self._refuse(error)
            else:
                self._lock = lock

    def let_go(self) -> None:
        """Release the lock, if this object holds it."""
        with self._mutex:
            self._let_go()

    def _let_go(self) -> None:
        self._lock = None
        self._held.close()

    def _refuse(self, error: StartFailed) -> None:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _WITHOUT_LOCKS and not isinstance(cause, UnsafeFile):
            if not self._has_warned:
                _log.warning(
                    "the file system of %s has no locks, so a second agent with this folder would not be noticed: %s",
                    self._folder, cause.strerror,
                )  # fmt: skip
            self._has_warned = True
            return
        reason = IN_USE if error.reason == "already_running" else error.reason
        raise StorageFailed(error.details, reason=reason, suggestion=error.suggestion) from error

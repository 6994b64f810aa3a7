"""Folders that one agent claims before it touches anything in them."""

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent_core.base.clock import Clock
from agent_core.base.folders import own_folder
from agent_core.base.locks import InstanceLock, leads_to
from agent_core.base.socket_place import LOOK_S
from agent_core.config import StorageConfig

__all__ = ("RuntimeFolder", "claimed_folders")

_log = logging.getLogger("camera_agent.app")


class RuntimeFolder:
    """The folder for sockets, held by a lock for as long as `held` is open."""

    def __init__(self, path: Path, held: ExitStack, state: InstanceLock, state_dir: Path) -> None:
        self._path = path
        self._state, self._state_dir = state, state_dir
        self._has_state = True
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
            self._look_at_state()
            if not (leads_to(self._path, self._folder) and self._lock.is_whole):
                _log.warning("the folder %s, or the lock in it, has vanished and is made again", self._path)
                self.claim()

    def _look_at_state(self) -> None:
        """Log when the state folder goes and when it comes back; another is never made: its disk may be unmounted."""
        before, self._has_state = self._has_state, self._state.is_whole
        if before and not self._has_state:
            _log.error(
                "the state folder %s, or the lock in it, has vanished, and another agent could take its place; "
                "mount it again if it is on a disk of its own, otherwise restart the agent",
                self._state_dir,
            )
        elif self._has_state and not before:
            _log.warning("the state folder %s is back", self._state_dir)


@contextmanager
def claimed_folders(storage: StorageConfig) -> Iterator[RuntimeFolder]:
    """Make the state folder and the runtime folder, lock both, then clear the runtime folder of old sockets.

    An agent that already runs in one of the two folders keeps all it has: nothing is removed before both locks are
    held. The kernel gives the locks back however the agent ends.

    Raises:
        StartFailed: `already_running`; `foreign_folder`, `linked_folder`, `open_folder`: another account could
            change what is in the folder; or the folder cannot be made.
    """
    state = InstanceLock(storage.state_dir)
    with (
        own_folder(storage.state_dir, "storage.state_dir", follow=True),
        state,
        ExitStack() as held,
    ):
        folder = RuntimeFolder(storage.runtime_dir, held, state, storage.state_dir)
        folder.claim()
        folder.clear()
        yield folder

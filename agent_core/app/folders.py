"""Folders that the agent locks before it changes anything in them."""

import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent_core.base.clock import Clock
from agent_core.base.errors import StartFailed, StorageFailed
from agent_core.base.folders import own_folder
from agent_core.base.locks import InstanceLock, leads_to
from agent_core.base.partial_files import remove_abandoned
from agent_core.base.socket_place import LOOK_S
from agent_core.config import StorageConfig

__all__ = ("RuntimeFolder", "claimed_folders")

_log = logging.getLogger("camera_agent.app")


class RuntimeFolder:
    """Folder for sockets, locked while the exit stack `held` is open."""

    def __init__(
        self,
        storage: StorageConfig,
        *,
        state: InstanceLock,
        held: ExitStack,
        device: Callable[[Path], int] = lambda folder: folder.stat().st_dev,
    ) -> None:
        """Keep the arguments; `claim` makes the folder.

        Args:
            storage: names the folders.
            state: held lock of the state folder.
            held: the locks of the runtime folder.
            device: returns the number of a folder's device.
        """
        self._path = storage.runtime_dir
        self._state, self._state_dir = state, storage.state_dir
        self._has_state = True
        self._device = device
        self._devices = frozenset(self._devices_above())
        self._held = held
        self._folder = -1
        self._lock = InstanceLock(
            self._path, name="runtime", kind="runtime folder", setting="storage.runtime_dir"
        )

    def claim(self) -> None:
        """Make and lock the folder; release the folder that was held before.

        Raises:
            StartFailed: as for `claimed_folders`.
        """
        self._held.close()
        self._folder = self._held.enter_context(own_folder(self._path, "storage.runtime_dir", follow=False))
        self._held.enter_context(self._lock)
        # The lock is a file, because other accounts may have access to the folder and could lock the folder itself.
        # This second lock keeps systemd-tmpfiles, which removes old files below /tmp, away from the folder.
        with suppress(OSError):
            fcntl.flock(self._folder, fcntl.LOCK_SH | fcntl.LOCK_NB)

    def clear(self) -> None:
        """Remove the sockets that a killed agent of this account left; touch nothing else."""
        for name in os.listdir(self._folder):  # noqa: PTH208 - reads the open folder: its path may lead elsewhere by now
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
                is_ours = stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid()
                if name.endswith(".sock") and is_ours:
                    os.unlink(name, dir_fd=self._folder)

    def require_state(self) -> None:
        """Check that the state folder is the one that this agent has locked. Blocks on the disk.

        Raises:
            StorageFailed: `state_missing`.
        """
        if not self._state.is_whole:
            raise StorageFailed(
                "The state folder, or the lock file in it, is not there.",
                reason="state_missing",
                suggestion="Mount it again if it is on a disk of its own; otherwise restart the agent.",
            )

    async def keep(self, clock: Clock) -> None:
        """Claim the folder again whenever it or its lock is deleted or moved; run until cancelled.

        Raises:
            StartFailed: another agent has claimed the folder meanwhile, or a disk was mounted over the state folder.
        """
        while True:
            await clock.sleep(LOOK_S)
            self._check_state_folder()
            if not (leads_to(self._path, self._folder) and self._lock.is_whole):
                _log.warning("the folder %s or its lock file has vanished; making it again", self._path)
                self.claim()

    def _check_state_folder(self) -> None:
        """Log when the state folder vanishes or returns. It is never made again: its disk may be unmounted.

        Raises:
            StartFailed: `state_replaced`: a disk is in its place that was not there, so the agent must start with that.
        """
        before, self._has_state = self._has_state, self._state.is_whole
        device = next(self._devices_above(), None)
        if not self._has_state and device is not None and device not in self._devices:
            raise StartFailed(
                f"A disk was mounted over the state folder {self._state_dir} after the agent had started.",
                reason="state_replaced",
                suggestion="Start the agent again, which then uses the state on that disk; systemd does so by itself.",
            )
        if before and not self._has_state:
            _log.error(
                "the state folder %s or its lock file has vanished, and another agent could start with it; "
                "mount it again if it is on a disk of its own, otherwise restart the agent",
                self._state_dir,
            )
        elif self._has_state and not before:
            _log.warning("the state folder %s is back", self._state_dir)

    def _devices_above(self) -> Iterator[int]:
        """Yield the devices of the state folder and the folders above it, as far as they are there."""
        path = self._state_dir.absolute()
        for folder in (path, *path.parents):
            with suppress(OSError):
                yield self._device(folder)


@contextmanager
def claimed_folders(storage: StorageConfig) -> Iterator[RuntimeFolder]:
    """Make the state folder and the runtime folder, lock both, then remove old sockets and files of interrupted writes.

    Nothing is removed before both locks are held, so an agent that already runs in either folder is not disturbed.
    The kernel releases the locks however the agent ends.

    Raises:
        StartFailed: `already_running`: another agent holds a lock; `foreign_folder`, `linked_folder`, `open_folder`:
            another account could change the folder's content; or a folder cannot be made.
    """
    state = InstanceLock(storage.state_dir)
    with (
        own_folder(storage.state_dir, "storage.state_dir", follow=True),
        state,
        ExitStack() as held,
    ):
        folder = RuntimeFolder(storage, state=state, held=held)
        folder.claim()
        folder.clear()
        _tidy(storage.state_dir)
        yield folder


def _tidy(state_dir: Path) -> None:
    """Remove what a kill in the middle of a write left in the state folder."""
    try:
        remove_abandoned(state_dir)
    except OSError as error:
        _log.warning("the state folder %s cannot be tidied: %s", state_dir, error.strerror)

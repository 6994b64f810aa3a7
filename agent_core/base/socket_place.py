"""Unix sockets at known paths, made again when their path is deleted."""

import logging
import os
import socket
import stat
from pathlib import Path

from agent_core.base.clock import Clock
from agent_core.base.files import make_folder

__all__ = ("LOOK_S", "SocketPlace")

_log = logging.getLogger("camera_agent.sockets")

#: Interval of checks for a deleted path; a recording waits for its first picture three times as long.
LOOK_S = 5.0
#: Access for the account and for its group, which a media server of another account may share.
_MODE = 0o660


class SocketPlace:
    """Path of a listening unix socket. Users and cleaners of /tmp delete sockets in use; clients cannot connect then.

    Args:
        path: the socket's path; unix(7) allows 107 bytes.
        clock: times the checks of the path.
        mode: the socket's file mode, which decides who may connect.
    """

    def __init__(self, path: Path, *, clock: Clock, mode: int = _MODE) -> None:
        self._path = path
        self._mode = mode
        self._clock = clock
        self._identity: tuple[int, int] | None = None

    @property
    def path(self) -> Path:
        return self._path

    def listen(self) -> socket.socket:
        """Return a new non-blocking socket that listens at the path; the caller closes it.

        A file left at the path is replaced, and a missing folder is made.

        Raises:
            OSError: the folder or the socket cannot be made.
        """
        make_folder(self._path.parent)
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(os.fspath(self._path))
            self._identity = _identity(self._path)
            self._path.chmod(self._mode)
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003 - the standard library's
        except BaseException:
            listener.close()
            self.release()
            raise
        return listener

    @property
    def is_lost(self) -> bool:
        """True if the path no longer leads to the socket that `listen` returned last."""
        return self._identity is None or _identity(self._path) != self._identity

    async def wait_lost(self) -> None:
        """Wait until the socket's path is deleted, and log it; returns at most `LOOK_S` after the deletion."""
        while not self.is_lost:
            await self._clock.sleep(LOOK_S)
        _log.warning(
            "the socket %s has vanished; making it again. Exclude its folder from cleaning programs",
            self._path,
        )

    def release(self) -> None:
        """Remove the socket from the path, unless another file has taken the path."""
        if not self.is_lost:
            self._path.unlink(missing_ok=True)
        self._identity = None


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the socket at `path`; None if there is no socket."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None

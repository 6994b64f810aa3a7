"""A unix socket at a known path, for as long as it is needed: made, missed when its name is gone, made again."""

import logging
import os
import socket
import stat
from pathlib import Path

from agent_core.base.clock import Clock
from agent_core.base.files import make_folder

__all__ = ("LOOK_S", "SocketPlace")

_log = logging.getLogger("camera_agent.sockets")

#: Between two looks at a socket's name; a recording waits for its first picture three times as long.
LOOK_S = 5.0
#: For the account, and for the group that a media server of another account shares.
_MODE = 0o660


class SocketPlace:
    """Owns one path. People and cleaners of /tmp delete sockets that are in use; no program can connect then.

    Args:
        path: short, as addresses of unix sockets are.
        clock: what times the looks at the path.
        mode: who may connect.
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
        """Return a new listening socket at the path, which the caller closes; it does not block.

        What was left at the path is replaced, and a folder that is gone is made again.

        Raises:
            OSError: it cannot be made.
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
        """Return True if the path no longer leads to the socket that `listen` returned last."""
        return self._identity is None or _identity(self._path) != self._identity

    async def wait_lost(self) -> None:
        """Return when the socket's name is gone, at most `LOOK_S` later; that is logged."""
        while not self.is_lost:
            await self._clock.sleep(LOOK_S)
        _log.warning(
            "the socket %s has vanished and is made again; keep what cleans its folder away from it",
            self._path,
        )

    def release(self) -> None:
        """Remove the socket from the path, if it is still the one that `listen` made."""
        if not self.is_lost:
            self._path.unlink(missing_ok=True)
        self._identity = None


def _identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the socket at `path`; None where there is none."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISSOCK(status.st_mode) else None

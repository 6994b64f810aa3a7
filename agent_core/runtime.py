"""What the agent's process owes its machine: folders, one instance, where it listens, a word to systemd."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from agent_core.config import StorageConfig
from agent_core.errors import StartFailed, StorageFailed
from agent_core.state import explain_os_error, write_atomic

__all__ = ("Announcement", "InstanceLock", "notify_systemd", "prepare_folders")


def prepare_folders(storage: StorageConfig) -> None:
    """Make the state folder and an empty folder for sockets that nobody else can enter.

    Raises:
        StartFailed: one cannot be made, or the socket folder belongs to somebody else.
    """
    for folder in (storage.state_dir, storage.runtime_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            why = explain_os_error(error, "make the agent's folders")
            raise StartFailed(why.details, reason=why.reason, suggestion=why.suggestion) from error
    if storage.runtime_dir.stat().st_uid != os.getuid():
        raise StartFailed(
            "The folder for sockets belongs to another user.",
            reason="foreign_folder",
            suggestion="Set storage.runtime_dir to a folder of the agent's own.",
        )
    for left_over in storage.runtime_dir.glob("*.sock"):
        left_over.unlink(missing_ok=True)


class InstanceLock:
    """One agent a state folder. The kernel gives the lock back however the agent ends.

    Args:
        state_dir: the folder; it exists.
        what: of which there may be one there; the lock's file is named after it.
    """

    def __init__(self, state_dir: Path, *, what: str = "agent") -> None:
        self._path = state_dir / f"{what.replace(' ', '_')}.lock"
        self._what = what
        self._fd = -1

    def __enter__(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._fd)
            raise StartFailed(
                f"Another {self._what} uses this state folder.",
                reason="already_running",
                suggestion="Stop it, or set storage.state_dir to another folder.",
            ) from error
        except OSError as error:
            why = explain_os_error(error, "write to the agent's state folder")
            raise StartFailed(why.details, reason=why.reason, suggestion=why.suggestion) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


class Announcement:
    """Tells the command line on this host where the agent listens, for as long as it does."""

    def __init__(self, endpoint_file: Path, url: str) -> None:
        self._path = endpoint_file
        self._url = url

    def __enter__(self) -> None:
        entry = json.dumps({"url": self._url, "pid": os.getpid()})
        try:
            write_atomic(self._path, entry.encode() + b"\n")
        except OSError as error:
            failure: StorageFailed = explain_os_error(error, "write to the agent's state folder")
            raise StartFailed(
                failure.details, reason=failure.reason, suggestion=failure.suggestion
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._path.unlink()


def notify_systemd(state: str) -> None:
    """Say `state` to the service manager, if one listens (sd_notify(3)); never fails."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
        sender.sendall(state.encode())

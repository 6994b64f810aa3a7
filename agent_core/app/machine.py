"""Duties of the agent's process to its machine: the announced address, private files, memory."""

import ctypes
import errno
import gc
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from agent_core.base.errors import StartFailed, StorageFailed
from agent_core.base.files import explain_os_error, write_atomic

__all__ = ("Announcement", "freeze_start_up_objects", "keep_files_private", "keep_memory_compact")

_log = logging.getLogger("camera_agent.app")


def keep_files_private() -> None:
    """Set the process's umask so that what the agent and its children make is closed to other accounts.

    A umask that lets the group write but not others, 0002 as in docs/mediamtx.md, is a choice and stays so; under
    one that keeps nothing from others the group may only read.
    """
    given = os.umask(0o077)
    os.umask(given | (0o007 if given & 0o002 else 0o027))


class Announcement:
    """Tells the command line on this host where the agent listens, for as long as it does.

    Args:
        endpoint_file: where it is said.
        url: the address on the network.
        config_files: what the agent has read its configuration from.
        local_socket: the unix socket that only this account and root can use, if there is one.
    """

    def __init__(
        self,
        endpoint_file: Path,
        url: str,
        config_files: Sequence[Path] = (),
        *,
        local_socket: Path | None = None,
    ) -> None:
        self._path = endpoint_file
        self._url = url
        self._config_files = config_files
        self._local_socket = local_socket

    def __enter__(self) -> None:
        files = [str(path.absolute()) for path in self._config_files]
        where = {"socket": str(self._local_socket)} if self._local_socket is not None else {}
        entry = json.dumps({"url": self._url, "pid": os.getpid(), "config_files": files, **where})
        try:
            write_atomic(self._path, entry.encode() + b"\n")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # it must start: how else are recordings deleted
                _log.error(
                    "the disk is full: the command line has to be given the address, by --url %s", self._url
                )
                return
            failure: StorageFailed = explain_os_error(error, f"write {self._path}")
            raise StartFailed(
                failure.details, reason=failure.reason, suggestion=failure.suggestion
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._path.unlink()


#: mallopt(3) and <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


_BLOCK_BYTES = 128 << 10


#: Worker threads take turns; each with a heap of its own would cost more than waiting for one another.
_ARENAS = 2


def keep_memory_compact() -> bool:
    """Hold glibc to its initial limits; False where the C library has nothing to hold (musl).

    For a process that is an agent and nothing else; cannot be undone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    limits = ((_M_MMAP_THRESHOLD, _BLOCK_BYTES), (_M_TRIM_THRESHOLD, _BLOCK_BYTES), (_M_ARENA_MAX, _ARENAS))
    return all(mallopt(name, value) == 1 for name, value in limits)


def freeze_start_up_objects() -> None:
    """Collect the garbage of start-up and exempt what survives from later collections; enables the collector."""
    gc.collect()
    gc.freeze()
    gc.enable()

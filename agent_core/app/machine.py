"""The agent's process and its host: announced address, file permissions, memory."""

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
    """Set the process's umask so that other accounts cannot read files of the agent and its children.

    A given umask with which the group may write but others may not, 0002 as in docs/mediamtx.md, is deliberate: the
    group keeps its access. With any other umask the group may at most read.
    """
    given = os.umask(0o077)
    os.umask(given | (0o007 if given & 0o002 else 0o027))


class Announcement:
    """File that tells commands on this host where the agent listens; it exists while the context is open.

    Args:
        endpoint_file: path of the file.
        url: the agent's network address.
        config_files: the files that the agent read its configuration from.
        local_socket: the unix socket for this account and root only, if there is one.
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

    def update(self, config_files: Sequence[Path]) -> None:
        """Tell of other files, which a reload has read. Blocks; what cannot be written stays as it was."""
        if tuple(config_files) == tuple(self._config_files):
            return
        self._config_files = config_files
        try:
            self.__enter__()
        except StartFailed as error:
            _log.error("%s %s", error.details, error.suggestion)

    def __enter__(self) -> None:
        files = [str(path.absolute()) for path in self._config_files]
        where = {"socket": str(self._local_socket)} if self._local_socket is not None else {}
        entry = json.dumps({"url": self._url, "pid": os.getpid(), "config_files": files, **where})
        try:
            write_atomic(self._path, entry.encode() + b"\n")
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                # Start anyway: clients free space by deleting recordings.
                _log.error(
                    "the disk is full, so commands cannot find the agent; free some space, or give them --url %s",
                    self._url,
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


#: Parameters of mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

#: glibc's initial value of both thresholds; without this it raises them while the process runs.
_BLOCK_BYTES = 128 << 10

#: Worker threads share heaps: a heap for each thread costs more memory than waiting for a shared one costs time.
_ARENAS = 2


def keep_memory_compact() -> bool:
    """Fix glibc's allocation thresholds and limit its heaps; return False if the C library has no mallopt (musl).

    Only for a process that is nothing but an agent: the change cannot be undone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    limits = ((_M_MMAP_THRESHOLD, _BLOCK_BYTES), (_M_TRIM_THRESHOLD, _BLOCK_BYTES), (_M_ARENA_MAX, _ARENAS))
    return all(mallopt(name, value) == 1 for name, value in limits)


def freeze_start_up_objects() -> None:
    """Collect garbage once, exempt the surviving objects from later collections, and enable the collector."""
    gc.collect()
    gc.freeze()
    gc.enable()

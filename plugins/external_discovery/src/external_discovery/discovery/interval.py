"""Interval of scans, which a client may set and which survives a restart."""

import errno
import json
import logging
from contextlib import suppress
from pathlib import Path

from agent_core.plugin import WorkerPool
from agent_core.plugin.state import LaterState, UnsafeFile, read_small, refuse_later, write_atomic

__all__ = ("StoredInterval",)

_FILE = "external_discovery-interval.json"
_LONGEST_S = 604_800
_VERSION = 1

_log = logging.getLogger("camera_agent.external_discovery")


class StoredInterval:
    """Seconds between two scans; 0: no scans by themselves.

    A value that was set holds until the configured one changes: who edits the configuration means it.

    Args:
        folder: folder of the file.
        configured_s: configured interval.
    """

    def __init__(self, folder: Path, configured_s: int) -> None:
        self._path = folder / _FILE
        self._configured_s = configured_s
        self.value_s = configured_s
        self._threads = WorkerPool(1)  # the value that was set last is also written last

    async def load(self) -> None:
        """Take the stored value. A file that is missing, damaged, or of a later version counts as none."""
        self.value_s = await self._threads.run(self._read)

    def configure(self, configured_s: int) -> bool:
        """Take over another configured value, which replaces one that was set; return False if it is the same."""
        if configured_s == self._configured_s:
            return False
        self._configured_s = self.value_s = configured_s
        return True

    async def store(self) -> None:
        """Store `value_s`, which a client has set.

        Raises:
            OSError: it could not be stored, or a later version has written the file; it holds all the same.
        """
        await self._threads.run(self._write, self.value_s)

    def _read(self) -> int:
        try:
            content = read_small(self._path)
            refuse_later(_FILE, content, _VERSION)
            stored = json.loads(content)
            configured_s, value_s = stored["configured_s"], stored["value_s"]
        except LaterState as later:
            _log.warning("%s %s", later.details, later.suggestion)
            return self._configured_s
        except (OSError, UnsafeFile, ValueError, TypeError, KeyError):
            return self._configured_s
        is_usable = type(value_s) is int and 0 <= value_s <= _LONGEST_S
        return value_s if is_usable and configured_s == self._configured_s else self._configured_s

    def _write(self, value_s: int) -> None:
        with suppress(FileNotFoundError, UnsafeFile):
            try:
                refuse_later(_FILE, read_small(self._path), _VERSION)
            except LaterState as later:
                raise OSError(errno.EPERM, later.details) from later
        stored = {"version": _VERSION, "configured_s": self._configured_s, "value_s": value_s}
        write_atomic(self._path, json.dumps(stored).encode() + b"\n")

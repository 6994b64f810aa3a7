"""Paths of the cameras' frame sockets."""

import hashlib
from collections import defaultdict
from pathlib import Path

import anyio

from agent_core.plugin import Fingerprint

__all__ = ("SocketPaths",)


class SocketPaths:
    """Socket paths in one folder, with a lock per path.

    A camera has the same path each time that it returns to a port, and waits until its predecessor's socket is closed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: defaultdict[Path, anyio.Lock] = defaultdict(anyio.Lock)

    def path(self, seen: Fingerprint, name: str) -> Path:
        """Return the path for a camera; `name` is the node's, used where no port is known.

        The name is a short hash: a socket address holds at most 108 bytes.
        """
        known_by = f"{seen.serial}\n{seen.port or name}\n{seen.descriptor}"
        return self._folder / f"v4l2_{hashlib.sha256(known_by.encode()).hexdigest()[:12]}.sock"

    def held(self, path: Path) -> anyio.Lock:
        """Return the lock to hold while a socket is bound to `path`."""
        return self._locks[path]

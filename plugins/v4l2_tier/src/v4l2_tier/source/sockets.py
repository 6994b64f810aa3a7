"""Where the cameras' frame sockets are: the same place for the same camera on the same port, one camera at a time."""

import hashlib
from collections import defaultdict
from pathlib import Path

import anyio

from agent_core.plugin import Fingerprint

__all__ = ("SocketPlaces",)


class SocketPlaces:
    """A camera that comes back waits for the one before it to have closed its socket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._locks: defaultdict[Path, anyio.Lock] = defaultdict(anyio.Lock)

    def path(self, seen: Fingerprint, name: str) -> Path:
        """Short, as socket addresses are; `name` is the node's, for cameras of which no port is known."""
        known_by = f"{seen.serial}\n{seen.port or name}\n{seen.descriptor}"
        return self._folder / f"v4l2_{hashlib.sha256(known_by.encode()).hexdigest()[:12]}.sock"

    def held(self, path: Path) -> anyio.Lock:
        """To be held while a socket is at `path`."""
        return self._locks[path]

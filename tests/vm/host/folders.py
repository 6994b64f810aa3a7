"""Folders of the laboratory on the host."""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("CHECKOUT", "IMAGE_SOURCES", "cache_folder", "key_of", "locked")

CHECKOUT = Path(__file__).parents[3]
#: Sources of the image.
IMAGE_SOURCES = CHECKOUT / "tests/vm/image"


def cache_folder() -> Path:
    """Return `CAMERA_AGENT_VM_CACHE`, which checkouts may share, else a folder in this checkout's ignored `.cache`."""
    return Path(os.environ.get("CAMERA_AGENT_VM_CACHE") or CHECKOUT / ".cache/vm")


def key_of(paths: Iterable[Path], *words: str) -> str:
    """Return a hash of the files' names and contents, and of the words."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock on `folder`, so that only one process builds there."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Where the laboratory keeps things on the host."""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ("CHECKOUT", "IMAGE_SOURCES", "cache_folder", "key_of", "locked")

CHECKOUT = Path(__file__).parents[3]
#: What the image is made from.
IMAGE_SOURCES = CHECKOUT / "tests/vm/image"


def cache_folder() -> Path:
    """`CAMERA_AGENT_VM_CACHE`, which several checkouts may share, else in this checkout's ignored `.cache`."""
    return Path(os.environ.get("CAMERA_AGENT_VM_CACHE") or CHECKOUT / ".cache/vm")


def key_of(paths: Iterable[Path], *words: str) -> str:
    """Changes with the content and names of these files, and with the words."""
    digest = hashlib.sha256()
    for word in words:
        digest.update(word.encode() + b"\0")
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process at a time builds in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

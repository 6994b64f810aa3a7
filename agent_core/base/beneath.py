"""Folders and files below a root, reached without following a link: no name and no race leads out of the root."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

__all__ = ("folder_beneath", "remove_regular")

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def folder_beneath(root: Path, parts: Sequence[str]) -> Iterator[int]:
    """Open the folder `root/parts...` while the context is open; yield its descriptor.

    The root itself may be a link, as the operator chose it.

    Raises:
        ValueError: a part is not the name of an entry.
        OSError: a folder does not exist, or is a link or something else (NotADirectoryError).
    """
    if any(part in {"", ".", ".."} or "/" in part or "\0" in part for part in parts):
        raise ValueError("a part of the path is not a name")
    with ExitStack() as opened:
        descriptor = os.open(root, _DIRECTORY)
        opened.callback(os.close, descriptor)
        for part in parts:
            descriptor = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            opened.callback(os.close, descriptor)
        yield descriptor


def remove_regular(name: str, folder: int) -> bool:
    """Delete the regular file `name` in an open folder; return False if there is none, or something else.

    Raises:
        OSError: it cannot be deleted.
    """
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return False
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True

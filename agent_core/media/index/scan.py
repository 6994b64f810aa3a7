"""Scan of a camera's folder by a child process, so that neither the GIL nor the memory of the agent pays for it.

The child prints JSON lines: the time of the folder's modification (ns) before it was read, or null without a folder;
then entries, sorted by file; and `"end"`.
"""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import astuple
from typing import Literal

from anyio.abc import ByteReceiveStream

from agent_core.base.models import CAMERA_ID, CameraId
from agent_core.base.processes import child
from agent_core.media.index.entries import IndexEntry, Shelf, limited_ns, looked

__all__ = ("ScanFailed", "print_scan", "scan")

#: Entries in one line; the agent compares and writes them in one go of a few milliseconds.
_BATCH = 250
#: The child leaves the processor to everything else, but not all of it: lists may wait for its result.
_NICENESS = 10


class ScanFailed(Exception):
    """Scan that ended early; the message is the child's."""


def print_scan(shelf: Shelf, camera: str) -> None:
    """Print the scan of a camera's folder: the child's whole work. Raises OSError."""
    if not CAMERA_ID.fullmatch(camera):
        raise ValueError(camera)
    with suppress(OSError):
        os.nice(_NICENESS)
    folder = shelf.root / camera
    try:
        changed_ns: int | None = limited_ns(folder.lstat().st_mtime_ns)
        files = sorted(shelf.files(CameraId(camera)))
    except (FileNotFoundError, NotADirectoryError):
        changed_ns, files = None, []
    _print(changed_ns)
    for start in range(0, len(files), _BATCH):
        entries = (looked(shelf, CameraId(camera), file) for file in files[start : start + _BATCH])
        _print([astuple(each) for each in entries if each is not None])
    _print("end")


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def scan(
    argv: Sequence[str], camera: CameraId, take: Callable[[int | list[IndexEntry] | None], Awaitable[None]]
) -> None:
    """Run the program `argv`; pass on what it prints: the folder's time, then the entries in batches.

    Cancelling it, or an error of `take`, kills the program.

    Raises:
        ScanFailed: it cannot be started, or ended early.
    """
    async with AsyncExitStack() as started:
        try:
            process = await started.enter_async_context(child([*argv, camera], stderr=subprocess.DEVNULL))
        except OSError as error:  # no memory, descriptors or processes are left
            raise ScanFailed(f"the scan cannot be started: {error}") from error
        assert process.stdout is not None  # noqa: S101 - a pipe by default
        async for line in _lines(process.stdout):
            value = _parsed(line)
            if value == "end":
                return
            await take(value)
    raise ScanFailed("it ended early")


def _parsed(line: bytes) -> int | list[IndexEntry] | Literal["end"] | None:
    """Return what a line says. Raises ScanFailed: it was cut off."""
    try:
        value = json.loads(line)
        if isinstance(value, list):
            return [IndexEntry(*each) for each in value]
    except (ValueError, TypeError) as error:
        raise ScanFailed(str(error)) from error
    if value == "end":
        return "end"
    return value if isinstance(value, int) else None


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line

"""Repair of files whose writer stopped within a part: players refuse such a file, or show a damaged last picture."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from agent_core.base.files import explain_os_error
from agent_core.base.small_files import open_regular
from agent_core.media.boxes import header
from agent_core.media.fmp4 import Fmp4Reader
from agent_core.media.mpegts import torn_bytes

__all__ = ("mend",)

_HEADER_BYTES = 16


def mend(path: Path) -> int:
    """Cut what a full disk has truncated off the end of a closed recording file; return its bytes.

    That is a part of a fragmented MP4, or a picture of an MPEG transport stream (`.ts`).

    FFmpeg (seen with 5.1 and 9) does not open a file with a truncated `moof`, and decodes the truncated last sample of
    an incomplete `mdat`. The file keeps its modification time if this user owns it. One with another hard link stays as
    it is, because the cut would change the file elsewhere, for example in a backup. Blocks on the disk.

    Raises:
        StorageFailed: the file cannot be read or written, or is not what its name says.
    """
    torn = _torn_bytes(path)
    if torn == 0:
        return 0
    try:
        descriptor = open_regular(path, os.O_RDWR)
        try:
            if os.fstat(descriptor).st_nlink > 1:
                return 0
            _cut(descriptor, torn)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise explain_os_error(error, "cut off the truncated end of a recording") from error
    return torn


def _torn_bytes(path: Path) -> int:
    """Return the bytes of a truncated part or picture at the end; 0 without one, or without media before it."""
    if path.suffix == ".ts":
        return _torn_ts_bytes(path)
    info = Fmp4Reader(path).update()
    if not info.has_media or info.unread_bytes == 0:
        return 0
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            is_torn = _is_torn(file, info.size_bytes - info.unread_bytes, info.size_bytes)
    except OSError as error:
        raise explain_os_error(error, "read a recording") from error
    return info.unread_bytes if is_torn else 0


def _torn_ts_bytes(path: Path) -> int:
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            return torn_bytes(file.fileno())
    except OSError as error:
        raise explain_os_error(error, "read a recording") from error


def _is_torn(file: BinaryIO, start: int, end: int) -> bool:
    """Return True if the boxes from `start` on are a part that goes beyond `end`; other bytes are not ours to cut."""
    for kind in (b"moof", b"mdat"):
        file.seek(start)
        data = file.read(_HEADER_BYTES)
        box = header(data)
        if box is None:  # less than a header; at the end of a box, there is none of the next
            return True
        if box.kind != kind or box.size < box.header_size:
            return False
        start += box.size
        if start > end:
            return True
    return False


def _cut(descriptor: int, size_bytes: int) -> None:
    status = os.fstat(descriptor)
    os.ftruncate(descriptor, status.st_size - size_bytes)
    with suppress(PermissionError):
        os.utime(descriptor, ns=(status.st_atime_ns, status.st_mtime_ns))

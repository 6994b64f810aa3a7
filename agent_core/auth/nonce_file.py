"""File of used nonces: one line each, appended and synced."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from agent_core.auth.signed_calls import LATEST_END_S
from agent_core.auth.stored_view import no_check
from agent_core.base.errors import LaterState
from agent_core.base.files import explain_os_error, write_atomic
from agent_core.base.small_files import open_regular, read_small

__all__ = ("Nonce", "NonceFile", "NonceRecord", "in_ms")

_LOG = logging.getLogger("camera_agent.rpc")
_VERSION = 1
_HEAD = re.compile(rb"camera-agent used nonces, version (\d{1,9}), floor (\d{1,15})", re.ASCII)
_LINE = re.compile(rb"([0-9a-f]{16}) ([0-9a-f]{32}) (\d{1,15})", re.ASCII)
#: Lines beyond twice those needed, before the file is written anew.
_SPARE_LINES = 1000
#: 60,000 lines of 64 bytes; see `MOST_NONCES`.
_LIMIT_BYTES = 4 << 20


@dataclass(frozen=True, order=True, slots=True)
class Nonce:
    """Nonce of a key, as a hash of fixed length; ordered by `end_ms`, the end of its call in Unix milliseconds."""

    end_ms: int
    key_id: str
    digest: str

    @classmethod
    def of(cls, key_id: str, nonce: str, expires_at: datetime) -> Self:
        digest = hashlib.sha256(f"{key_id} {nonce}".encode()).hexdigest()
        return cls(in_ms(expires_at), key_id, digest[:32])

    def line(self) -> bytes:
        return f"{self.key_id} {self.digest} {self.end_ms}\n".encode()


@dataclass(frozen=True, slots=True)
class NonceRecord:
    """Content of the file. Calls that end at `floor_ms` or before may have run, and their nonces are forgotten."""

    nonces: Sequence[Nonce] = ()
    floor_ms: int = 0


class NonceFile:
    """File that only this process writes. All methods block on the disk.

    Args:
        path: the file, in the state folder.
        require: raises StorageFailed while the state folder is not there.
    """

    def __init__(self, path: Path, *, require: Callable[[], None] = no_check) -> None:
        self._path = path
        self._require = require
        self._lines = 0
        #: Device, inode and size of the file as it was left here; None if it has to be written anew.
        self._known: tuple[int, int, int] | None = None

    def read(self, now: datetime) -> NonceRecord:
        """Return the content. A damaged file is set aside; calls issued before `now` are refused then.

        Raises:
            StorageFailed: the file cannot be read, or is damaged and cannot be replaced.
            LaterState: a later version of the agent has written it.
        """
        self._require()
        try:
            content = read_small(self._path, limit_bytes=_LIMIT_BYTES, private=True)
            status = self._path.stat()
        except FileNotFoundError:
            return NonceRecord()
        except OSError as error:
            raise explain_os_error(error, "read the used nonces") from error
        found = _parsed(content)
        if found is None:
            return self._set_aside(content, now)
        self._lines = len(found.nonces)
        # Else a power cut came in the middle of a write, and its calls did not run.
        if content.endswith(b"\n"):
            self._known = (status.st_dev, status.st_ino, len(content))
        return found

    def append(self, new: Sequence[Nonce], *, needed: int) -> bool:
        """Store nonces; return False if the file has to be written anew by `replace`, which stored none.

        Args:
            new: the nonces.
            needed: number of all nonces that are needed now.

        Raises:
            StorageFailed: they could not be stored.
        """
        self._require()
        if self._known is None or self._lines + len(new) > 2 * needed + _SPARE_LINES:
            return False
        try:
            return self._append(b"".join(each.line() for each in new), len(new))
        except OSError as error:
            self._known = None  # it may have a part of them
            raise explain_os_error(error, "store a used nonce") from error

    def _append(self, lines: bytes, count: int) -> bool:
        try:
            descriptor = open_regular(self._path, os.O_WRONLY | os.O_APPEND)
        except OSError:  # deleted or replaced by others: memory has it all
            return False
        try:
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino, status.st_size) != self._known:
                return False
            if os.write(descriptor, lines) < len(lines):
                self._known = None
                return False
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        self._known = (status.st_dev, status.st_ino, status.st_size + len(lines))
        self._lines += count
        return True

    def replace(self, record: NonceRecord) -> None:
        """Write the file anew. Raises StorageFailed."""
        self._require()
        head = f"camera-agent used nonces, version {_VERSION}, floor {record.floor_ms}\n".encode()
        content = head + b"".join(each.line() for each in record.nonces)
        self._known = None
        try:
            write_atomic(self._path, content, mode=0o600)
            status = self._path.stat()
        except OSError as error:
            raise explain_os_error(error, "store a used nonce") from error
        self._known = (status.st_dev, status.st_ino, len(content))
        self._lines = len(record.nonces)

    def _set_aside(self, content: bytes, now: datetime) -> NonceRecord:
        """Copy the damaged file, and refuse all calls that can have been issued before `now`; a restart changes nothing in that."""
        name = f"{self._path.name}.corrupt"
        with suppress(OSError):
            write_atomic(self._path.with_name(name), content, mode=0o600)
        _LOG.error(
            "the file of used nonces was damaged and is now %s: signed calls issued until now are refused",
            name,
        )
        record = NonceRecord(floor_ms=in_ms(now) + int(LATEST_END_S * 1000))
        self.replace(record)
        return record


def in_ms(moment: datetime) -> int:
    """Return Unix milliseconds."""
    return round(moment.timestamp() * 1000)


def _parsed(content: bytes) -> NonceRecord | None:
    """Return the content without a torn last line; None if it is damaged. Raises LaterState."""
    first, *rest = content.split(b"\n")[:-1] or (b"",)
    head = _HEAD.fullmatch(first)
    if head is None:
        return None
    if int(head[1]) > _VERSION:
        raise LaterState(
            "A later version of the agent has written the file of used nonces; it is neither used nor changed.",
            reason="used_nonces_later_version",
            suggestion="Upgrade the agent, or put back a copy of the state folder that this version has made.",
        )
    found = [_LINE.fullmatch(each) for each in rest]
    nonces = [Nonce(int(each[3]), each[1].decode(), each[2].decode()) for each in found if each]
    return NonceRecord(nonces, int(head[2])) if len(nonces) == len(rest) else None

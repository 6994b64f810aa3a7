"""Log records for systemd's journal, with their fields: systemd.io/JOURNAL_NATIVE_PROTOCOL, with the standard library."""

import errno
import fcntl
import logging
import os
import re
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ("JOURNAL_SOCKET", "JournalHandler", "encoded", "leads_to_journal")

#: Where journald receives datagrams.
JOURNAL_SOCKET = Path("/run/systemd/journal/socket")
#: Of the fields that are the agent's own.
_PREFIX = "CAMERA_AGENT_"
#: As in libsystemd: room for a burst while journald is busy.
_SEND_BUFFER_BYTES = 8 << 20
_UNFIT = re.compile("[^A-Z0-9_]")
#: Priorities of syslog(3), by the lowest level of logging that has them.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG_PRIORITY = 7
#: The journal refuses a file that its sender can still change.
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL


def leads_to_journal(descriptor: int, environment: Mapping[str, str]) -> bool:
    """Return True if the journal reads `descriptor`: `JOURNAL_STREAM` names its device and inode (systemd.exec(5))."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environment.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def encoded(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return a journal entry: `NAME=value` lines, or name, length and value for a value of several lines."""
    entry = bytearray()
    for name, value in fields:
        data = value.encode(errors="backslashreplace")
        if b"\n" in data:
            entry += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
        else:
            entry += name.encode() + b"=" + data + b"\n"
    return bytes(entry)


class JournalHandler(logging.Handler):
    """Handler that sends records to the journal. What the journal does not take goes to `otherwise`.

    Args:
        path: the journal's socket.
        context: returns the fields of a record, which the journal gets as `CAMERA_AGENT_<NAME>`.
        otherwise: handler that writes to standard error; gets the records that cannot be sent.
    """

    def __init__(
        self,
        path: Path,
        context: Callable[[logging.LogRecord], Mapping[str, str]],
        otherwise: logging.Handler,
    ) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._context = context
        self.otherwise = otherwise
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. Waits while journald takes nothing, like a write to standard error."""
        try:
            self._send(encoded(self._fields(record)))
        except OSError:
            self.otherwise.handle(record)
        except Exception:  # noqa: BLE001 - logging must not fail its caller
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()

    def _fields(self, record: logging.LogRecord) -> Iterable[tuple[str, str]]:
        yield "MESSAGE", self.format(record)
        yield "PRIORITY", str(priority_of(record.levelno))
        yield "SYSLOG_IDENTIFIER", "camera-agent"
        yield f"{_PREFIX}LOGGER", record.name
        for name, value in self._context(record).items():
            yield _PREFIX + _UNFIT.sub("_", name.upper()), str(value)

    def _send(self, entry: bytes) -> None:
        try:
            self._socket.sendto(entry, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_file(entry)

    def _send_file(self, entry: bytes) -> None:
        """Send an entry that is too large for a datagram as a sealed file in memory."""
        descriptor = os.memfd_create("camera-agent-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            file.write(entry)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor.to_bytes(4, "little"))
            self._socket.sendmsg([], [rights], 0, self._path)


def priority_of(level: int) -> int:
    """Return the priority of syslog(3) for a level of `logging`."""
    return next((priority for lowest, priority in _PRIORITIES if level >= lowest), _DEBUG_PRIORITY)

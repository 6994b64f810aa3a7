"""Parser of RTSP messages from chunks of bytes, for clients and servers, with fixed limits."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from agent_core.plugin.rtsp.errors import RtspError
from agent_core.plugin.rtsp.messages import Headers, Interleaved, Message, Request, Response

__all__ = ("Limits", "RtspParser")

#: A field that goes on in the next line (RFC 2822, 2.2.3).
_FOLD = re.compile(r"\n[ \t]+")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_REQUEST_LINE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (\S+) RTSP/1\.0\Z")
_STATUS_LINE = re.compile(r"RTSP/1\.0 ([1-9][0-9]{2})(?: (.*))?\Z")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_LENGTH = re.compile(r"[0-9]{1,9}\Z")
_DOLLAR = 0x24
#: The `$` of a frame, or the first letter of a method or of `RTSP/1.0`.
_BEGIN = re.compile(rb"[$A-Za-z]")
_FRAME_HEAD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one message. The defaults are ours: ample for a session description, small for an attack."""

    head_bytes: int = 16 << 10
    header_fields: int = 100
    body_bytes: int = 256 << 10


class RtspParser:
    """Parser of one connection's messages. Holds at most one unfinished message.

    After an error the connection has to be closed: the parser cannot find the next message.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._buffer = bytearray()
        self._noise_bytes = 0
        self._scanned = 0  # bytes known not to end a head, so that they are not searched again
        self._head: Request | Response | None = None
        self._body_bytes = 0
        self._error: RtspError | None = None

    @property
    def pending_bytes(self) -> int:
        """Size of the unfinished message. At the end of a connection, a value other than 0 means a cut message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take bytes and yield the messages that they complete. Iterate to the end before the next call.

        Raises:
            RtspError: the data is malformed. Raised while iterating, after the messages before the fault, and again
                by each later iteration.
        """
        if self._error is None:
            self._buffer += data
        return self._messages()

    def _messages(self) -> Iterator[Message]:
        while (message := self._checked_next()) is not None:
            yield message

    def _checked_next(self) -> Message | None:
        if self._error is not None:
            raise RtspError(*self._error.args)
        try:
            return self._next()
        except RtspError as error:
            self._error = error
            self._buffer.clear()
            raise

    def _next(self) -> Message | None:
        if self._head is not None:
            return self._next_body(self._head)
        self._skip_noise()
        if not self._buffer:
            return None
        if self._buffer[0] == _DOLLAR:
            return self._next_frame()
        return self._next_head()

    def _skip_noise(self) -> None:
        """Drop bytes that begin no message: blank lines, and the stray bytes that some cameras send between frames."""
        if self._buffer[:1] == b"$":  # by far the most frequent
            self._noise_bytes = 0
            return
        found = _BEGIN.search(self._buffer)
        count = found.start() if found else len(self._buffer)
        self._noise_bytes += count - sum(map(self._buffer[:count].count, b"\r\n"))
        if count:
            del self._buffer[:count]
        if self._noise_bytes > self._limits.head_bytes:
            raise RtspError(f"Over {self._limits.head_bytes} bytes between two messages belong to neither.")
        if found:
            self._noise_bytes = 0

    def _next_frame(self) -> Interleaved | None:
        if len(self._buffer) < _FRAME_HEAD_BYTES:
            return None
        end = _FRAME_HEAD_BYTES + int.from_bytes(self._buffer[2:4], "big")
        if len(self._buffer) < end:
            return None
        return Interleaved(self._buffer[1], self._take(end)[_FRAME_HEAD_BYTES:])

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def _next_head(self) -> Request | Response | None:
        found = _END_OF_HEAD.search(self._buffer, self._scanned)
        if (found.end() if found else len(self._buffer)) > self._limits.head_bytes:
            raise RtspError(f"A message's head is over {self._limits.head_bytes} bytes.")
        if found is None:
            self._scanned = max(0, len(self._buffer) - 3)
            return None
        self._scanned = 0
        head = self._take(found.end())[: found.start()]
        message = _parse_head(head, self._limits)
        self._body_bytes = _content_length(message.headers, self._limits)
        self._head = message
        return self._next_body(message)

    def _next_body(self, head: Request | Response) -> Request | Response | None:
        if len(self._buffer) < self._body_bytes:
            return None
        body = self._take(self._body_bytes)
        self._head = None
        if isinstance(head, Request):
            return Request(head.method, head.uri, head.headers, body)
        return Response(head.status, head.headers, body, head.reason)


def _parse_head(head: bytes, limits: Limits) -> Request | Response:
    try:
        text = head.decode()
    except UnicodeDecodeError:
        text = head.decode("latin-1")  # cameras put their names here in any encoding
    first, *rest = _FOLD.sub(" ", text.replace("\r\n", "\n")).split("\n")
    if len(rest) > limits.header_fields:
        raise RtspError(f"A message has more than {limits.header_fields} header fields.")
    headers = Headers(_fields(rest))
    if found := _STATUS_LINE.match(first):
        return Response(int(found[1]), headers, reason=found[2] or "")
    if found := _REQUEST_LINE.match(first):
        return Request(found[1], found[2], headers)
    raise RtspError("A message's first line is not RTSP/1.0.")


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.rstrip(" \t")
        if not colon or not _NAME.match(name) or "\r" in line or "\0" in line:
            raise RtspError("A header line has no name and value.")
        yield name, value.strip(" \t")


def _content_length(headers: Headers, limits: Limits) -> int:
    lengths = set(headers.all("Content-Length"))
    if not lengths:
        return 0
    if len(lengths) > 1 or not _LENGTH.match(length := lengths.pop()):
        raise RtspError("A message's Content-Length is not one number.")
    if int(length) > limits.body_bytes:
        raise RtspError(f"A message's body is over {limits.body_bytes} bytes.")
    return int(length)

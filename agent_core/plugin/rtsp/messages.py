"""RTSP/1.0 messages (RFC 2326): requests, responses and interleaved frames, and their encoding."""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from agent_core.plugin.rtsp.errors import RtspError

__all__ = ("REASONS", "Headers", "Interleaved", "Message", "Request", "Response")

#: Statuses that the agent sends, with the phrases of RFC 2326, 7.1.1.
REASONS: Mapping[int, str] = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    459: "Aggregate Operation Not Allowed",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
}

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_LINE_BREAK = re.compile(r"[\r\n\0]")
_SPACE = re.compile(r"[\s\0]")


class Headers:
    """Immutable list of header fields. Names keep order and spelling and are compared without case."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        self._fields = tuple(pairs)

    def get(self, name: str, default: str = "") -> str:
        """Return the first field of that name, or `default`."""
        return next(iter(self.all(name)), default)

    def all(self, name: str) -> tuple[str, ...]:
        """Return all fields of that name, for fields that may repeat (WWW-Authenticate)."""
        wanted = name.lower()
        return tuple(value for key, value in self._fields if key.lower() == wanted)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({self._fields!r})"


def _encode(first_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [first_line]
    for name, value in headers:
        if not _TOKEN.match(name) or _LINE_BREAK.search(value):
            raise RtspError(f"A header field cannot be written: {name[:40]!r}.")
        lines.append(f"{name}: {value}")
    if body and "Content-Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@dataclass(frozen=True, slots=True)
class Request:
    """Request with its headers and body."""

    method: str
    uri: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def cseq(self) -> str:
        """Value of CSeq; empty if the message has none, which is an error of the peer."""
        return self.headers.get("CSeq")

    def encode(self) -> bytes:
        """Return the bytes. Adds Content-Length if a body has none.

        Raises:
            RtspError: the method, the address or a field contains characters that would end the line.
        """
        if not _TOKEN.match(self.method) or not self.uri or _SPACE.search(self.uri):
            raise RtspError("A request's method or address cannot be written.")
        return _encode(f"{self.method} {self.uri} RTSP/1.0", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """Response with its headers and body. An empty `reason` stands for the usual phrase."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    reason: str = ""

    @property
    def cseq(self) -> str:
        """Value of CSeq; empty if the message has none, which is an error of the peer."""
        return self.headers.get("CSeq")

    def encode(self) -> bytes:
        """Return the bytes. Adds Content-Length and the reason phrase if they are missing.

        Raises:
            RtspError: the status is not of three digits, or the reason or a field contains characters that would end
                the line.
        """
        reason = self.reason or REASONS.get(self.status, "Unknown")
        if _LINE_BREAK.search(reason) or not 100 <= self.status <= 999:
            raise RtspError("A response's status cannot be written.")
        return _encode(f"RTSP/1.0 {self.status} {reason}", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Interleaved:
    """RTP or RTCP packet inside the RTSP connection (RFC 2326, 10.12)."""

    channel: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the bytes.

        Raises:
            RtspError: the channel is not one byte, or the payload is over 65535 bytes.
        """
        if not 0 <= self.channel <= 255 or len(self.payload) > 0xFFFF:
            raise RtspError("An interleaved frame has a channel that is not one byte, or over 65535 bytes.")
        return struct.pack(">cBH", b"$", self.channel, len(self.payload)) + self.payload


Message: TypeAlias = Request | Response | Interleaved

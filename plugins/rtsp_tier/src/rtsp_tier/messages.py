"""Messages between the plugin and its decoder worker, and their encoding on the worker's stdin and stdout.

An encoded message is two big-endian 32-bit numbers, the lengths of header and payload in bytes, then the header (a JSON
object with the message's class as `type` and its fields) and the payload. Only `Taken` has a payload. All times are
seconds of CLOCK_MONOTONIC, which is common to all processes of a host.

The worker answers each `TakeResident` and `TakeOnce` with one `Taken` or `Failed`; a cancelled request may stay without
an answer. `StreamOpen` tells that the reader of a `TakeOnce` has connected. It reports each `OpenReader` with `ReaderOpen` or `ReaderEnded`, and the end of an open reader with
`ReaderEnded`, unless `CloseReader` came first. `Configure` is the first message to the worker.

Both processes import this module, so it needs the standard library only.
"""

import json
import struct
from collections.abc import Iterable, Iterator
from dataclasses import Field, dataclass, field, fields
from enum import StrEnum

__all__ = (
    "TO_PLUGIN",
    "TO_WORKER",
    "Cancel",
    "CloseReader",
    "Configure",
    "Decoder",
    "Failed",
    "Message",
    "MessageError",
    "OpenReader",
    "Ping",
    "Pong",
    "ReaderEnded",
    "ReaderOpen",
    "Reason",
    "StreamOpen",
    "TakeOnce",
    "TakeResident",
    "Taken",
    "encode",
)

_LENGTHS = struct.Struct(">II")
#: Largest header. A URL, a password and a message are each far shorter.
_HEADER_LIMIT_BYTES = 64 << 10
#: Largest payload: room for a JPEG of 100 megapixels.
_PAYLOAD_LIMIT_BYTES = 64 << 20
#: Limit of numbers, which excludes infinity and what is not a number.
_NUMBER_LIMIT = 2**53


class MessageError(ValueError):
    """Error for bytes that are not a message, or for a message that cannot be encoded. It quotes no content."""


class Reason(StrEnum):
    """Reasons of `Failed` and `ReaderEnded`."""

    CREDENTIALS = "credentials"
    NOT_LIVE = "not_live"
    MEDIA_SERVER_DOWN = "media_server_down"
    TIMED_OUT = "timed_out"
    STREAM_ENDED = "stream_ended"
    STREAM_DAMAGED = "stream_damaged"
    UNSUPPORTED_STREAM = "unsupported_stream"
    CAMERA_GONE = "camera_removed"
    NO_READER = "no_reader"
    BUSY = "busy"
    WORKER_FAILED = "worker_failed"


@dataclass(frozen=True, slots=True)
class Configure:
    """Settings of the worker, for all readers.

    Attributes:
        latency_s: time by which a picture may arrive after its exposure.
        connect_timeout_s: limit of the time to open a stream.
        silence_timeout_s: silence after which an open stream has ended.
        group_limit_bytes: most bytes that a resident reader keeps of a group of pictures.
        jpeg_quality: quality of pictures that have to be encoded, from 1 to 100 (best).
    """

    latency_s: float
    connect_timeout_s: float
    silence_timeout_s: float
    group_limit_bytes: int
    jpeg_quality: int


@dataclass(frozen=True, slots=True)
class OpenReader:
    """Request for a resident reader with the number `reader`, which is not in use.

    `url` is an RTSP URL without credentials, or `unix:` and the path of a frame socket. `interval_s` is the nominal time
    between two pictures, 0 if it is not known.
    """

    reader: int
    url: str = field(repr=False)
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    interval_s: float = 0.0


@dataclass(frozen=True, slots=True)
class CloseReader:
    reader: int


@dataclass(frozen=True, slots=True)
class TakeResident:
    """Request for a picture of a resident reader, exposed at `not_before_s` or later.

    With `key_frame_is_enough` the reader prefers a picture that costs no further decoding, if it is new enough. Before
    `unsettled_from_s`, pictures of a camera that still adjusts its exposure do not count.
    """

    request: int
    reader: int
    not_before_s: float
    deadline_s: float
    key_frame_is_enough: bool
    unsettled_from_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TakeOnce:
    """Request for a picture by a reader that is opened for it; the fields are those of the other requests."""

    request: int
    url: str = field(repr=False)
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    not_before_s: float
    deadline_s: float
    interval_s: float = 0.0
    unsettled_from_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Cancel:
    request: int


@dataclass(frozen=True, slots=True)
class Ping:
    number: int


@dataclass(frozen=True, slots=True)
class StreamOpen:
    request: int


@dataclass(frozen=True, slots=True)
class ReaderOpen:
    """Report that the stream of a resident reader is open. Requests are possible before it."""

    reader: int


@dataclass(frozen=True, slots=True)
class ReaderEnded:
    """Report that a reader has ended. Its number may be used again."""

    reader: int
    reason: Reason
    details: str


@dataclass(frozen=True, slots=True)
class Taken:
    """Picture as a JPEG, `width` x `height` pixels, exposed at `captured_s` or later.

    `source` is the word of `CapturedAtSource`. `is_settled` is False if the camera still adjusted its exposure;
    `settled_by` and `settled_after_s` tell how that ended, if its source says so.
    """

    request: int
    width: int
    height: int
    captured_s: float
    data: bytes = field(repr=False)
    source: str = "estimated"
    is_settled: bool = True
    settled_by: str | None = None
    settled_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    request: int
    reason: Reason
    details: str
    suggestion: str


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to the `Ping` of the same number, with the worker's resident memory."""

    number: int
    rss_bytes: int


ToWorker = Configure | OpenReader | CloseReader | TakeResident | TakeOnce | Cancel | Ping
ToPlugin = StreamOpen | ReaderOpen | ReaderEnded | Taken | Failed | Pong
Message = ToWorker | ToPlugin

#: Classes of the messages that each side receives.
TO_WORKER: tuple[type[Message], ...] = (
    Configure,
    OpenReader,
    CloseReader,
    TakeResident,
    TakeOnce,
    Cancel,
    Ping,
)
TO_PLUGIN: tuple[type[Message], ...] = (StreamOpen, ReaderOpen, ReaderEnded, Taken, Failed, Pong)


def encode(message: Message) -> bytes:
    """Return `message` as bytes.

    Raises:
        MessageError: a field has a value that a decoder refuses, or the message is too large.
    """
    values = {each.name: getattr(message, each.name) for each in fields(message) if each.type is not bytes}
    for each in fields(message):
        if not _fits(each, getattr(message, each.name)):
            raise _wrong_field(type(message), each)
    header = json.dumps({"type": type(message).__name__, **values}, separators=(",", ":")).encode()
    payload = message.data if isinstance(message, Taken) else b""
    _check_lengths(len(header), len(payload))
    return b"".join((_LENGTHS.pack(len(header), len(payload)), header, payload))


class Decoder:
    """Splits a byte stream into messages of the given classes. It holds at most one incomplete message.

    Args:
        classes: `TO_WORKER` or `TO_PLUGIN`.
    """

    def __init__(self, classes: Iterable[type[Message]]) -> None:
        self._classes = {each.__name__: each for each in classes}
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that `data` completes. After an error the stream cannot be used further.

        Raises:
            MessageError: the bytes are not a message of the classes, or it is too large.
        """
        self._buffer += data
        while (size := self._message_size()) is not None:
            header_end = _LENGTHS.size + _LENGTHS.unpack_from(self._buffer)[0]
            header = bytes(self._buffer[_LENGTHS.size : header_end])
            payload = bytes(memoryview(self._buffer)[header_end:size])
            del self._buffer[:size]
            yield self._message(header, payload)

    def end(self) -> None:
        """Check that the stream may end here.

        Raises:
            MessageError: it ends inside a message.
        """
        if self._buffer:
            raise MessageError("The stream ends inside a message.")

    def _message_size(self) -> int | None:
        """Return the size of the first message in bytes; None while it is incomplete."""
        if len(self._buffer) < _LENGTHS.size:
            return None
        header_size, payload_size = _LENGTHS.unpack_from(self._buffer)
        _check_lengths(header_size, payload_size)
        size: int = _LENGTHS.size + header_size + payload_size
        return size if len(self._buffer) >= size else None

    def _message(self, header: bytes, payload: bytes) -> Message:
        try:
            given = json.loads(header)
        except (ValueError, RecursionError) as error:
            raise MessageError("The header of a message is not JSON.") from error
        if not isinstance(given, dict):
            raise MessageError("The header of a message is not an object.")
        name = given.pop("type", None)
        found = self._classes.get(name) if isinstance(name, str) else None
        if found is None:
            raise MessageError("The class of a message is unknown here.")
        if found is Taken:
            given["data"] = payload
        elif payload:
            raise MessageError(f"{found.__name__} has a payload.")
        return _build(found, given)


def _check_lengths(header_bytes: int, payload_bytes: int) -> None:
    if not 0 < header_bytes <= _HEADER_LIMIT_BYTES:
        raise MessageError(f"The header of a message has {header_bytes} bytes.")
    if payload_bytes > _PAYLOAD_LIMIT_BYTES:
        raise MessageError(f"The payload of a message has {payload_bytes} bytes.")


def _build(message: type[Message], given: dict[str, object]) -> Message:
    expected = fields(message)
    if given.keys() != {each.name for each in expected}:
        raise MessageError(f"{message.__name__} does not have exactly its fields.")
    for each in expected:
        if each.type is Reason:
            given[each.name] = _reason(given[each.name])
        if not _fits(each, given[each.name]):
            raise _wrong_field(message, each)
    return message(**given)  # type: ignore[arg-type] # each value fits its field


def _reason(value: object) -> Reason | None:
    return Reason(value) if isinstance(value, str) and value in set(map(str, Reason)) else None


def _fits(expected: Field[object], value: object) -> bool:
    """Return True if `value` is of the field's type. Numbers have a limit, and whole ones are not negative."""
    if expected.type is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and -_NUMBER_LIMIT < value < _NUMBER_LIMIT  # type: ignore[operator] # a number
    if expected.type is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NUMBER_LIMIT
    return isinstance(value, expected.type)  # type: ignore[arg-type] # a class or a union, no annotation in quotes


def _wrong_field(message: type[Message], each: Field[object]) -> MessageError:
    return MessageError(f"The field {each.name} of {message.__name__} has a value of the wrong kind.")

"""Requests and answers of a probe, over connections to one server."""

import re
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream

from agent_core.plugin.rtsp import (
    Credentials,
    Headers,
    Message,
    Request,
    Response,
    RtspError,
    RtspParser,
    answer,
)

__all__ = ("Conversation", "ConversationEnded")

#: Most bytes of all answers: a description at its limit (256 KiB), with room for heads and stray frames.
_MAX_BYTES = 384 << 10
#: Enough for OPTIONS, DESCRIBE and DESCRIBE with a password on a connection each.
_RECONNECTS = 2
#: Beginning of what was received, enough to name the protocol.
_BEGINNING_BYTES = 16
_STATUS_LINE = b"RTSP/1."
_UNAUTHORIZED = 401
_STALE = re.compile(r'\bstale\s*=\s*"?true', re.IGNORECASE)


class ConversationEnded(Exception):
    """Error of a server that closed the connection instead of answering; the message is a sentence."""


class Conversation:
    """Sends one request at a time and waits for its answer. Owns the connection; end it with `close`.

    Servers that close the connection after each answer are met on another one.

    Args:
        stream: connection to the server.
        connect: opens another connection to it.
        url: address of the requests, without credentials.
    """

    def __init__(self, stream: ByteStream, connect: Callable[[], Awaitable[ByteStream]], url: str) -> None:
        self._stream = stream
        self._connect = connect
        self._url = url
        self._parser = RtspParser()
        self._messages: deque[Message] = deque()
        self._beginning = b""
        self._cseq = 0
        self._answers = 0
        self._reconnects_left = _RECONNECTS
        #: Bytes that the server has sent, on all connections.
        self.received_bytes = 0

    @property
    def is_foreign(self) -> bool:
        """True if the server has sent something and no answer in RTSP, nor the beginning of one."""
        begins = _STATUS_LINE.startswith(self._beginning[: len(_STATUS_LINE)])
        return bool(self._beginning) and not self._answers and not begins

    def impression(self) -> str:
        """Return a sentence about a server that does not speak RTSP."""
        if self._answers or _STATUS_LINE.startswith(self._beginning[: len(_STATUS_LINE)]):
            return "The server breaks RTSP."
        if self._beginning.startswith(b"HTTP/"):
            return "The port belongs to an HTTP server."
        if self._beginning.startswith(b"SSH-"):
            return "The port belongs to an SSH server."
        return "The server does not speak RTSP."

    async def exchange(self, method: str, authorization: str = "") -> Response:
        """Send a request and return its answer; discard everything else.

        Raises:
            ConversationEnded: the server closed the connection before the answer.
            RtspError: the answer is not RTSP, or the server has sent too much.
            OSError: another connection was necessary, and failed.
        """
        try:
            return await self._once(method, authorization)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            if not (self._answers and self._reconnects_left):
                raise ConversationEnded("The server closes the connection without an answer.") from error
        try:
            await self._reconnect()
            return await self._once(method, authorization)
        except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
            raise ConversationEnded(
                f"The server closes the connection instead of answering {method}."
            ) from error

    async def authenticate(self, method: str, refused: Response, credentials: Credentials) -> Response:
        """Repeat a refused request with credentials and return its answer.

        Sends them a second time only if the server says that its challenge had expired. Returns `refused` if the server
        asks for an unknown kind of authentication.

        Raises:
            ConversationEnded, RtspError, OSError: as `exchange`.
        """
        response = refused
        for _ in range(2):
            challenges = response.headers.all("WWW-Authenticate")
            try:
                authorization = answer(challenges, credentials, method, self._url)
            except RtspError:
                return response
            response = await self.exchange(method, authorization)
            expired = any(map(_STALE.search, response.headers.all("WWW-Authenticate")))
            if response.status != _UNAUTHORIZED or not expired:
                return response
        return response

    async def close(self) -> None:
        await anyio.aclose_forcefully(self._stream)

    async def _reconnect(self) -> None:
        self._reconnects_left -= 1
        await self.close()
        self._parser = RtspParser()
        self._messages.clear()
        self._stream = await self._connect()

    async def _once(self, method: str, authorization: str) -> Response:
        self._cseq += 1
        fields = {"CSeq": str(self._cseq), "User-Agent": "camera-agent"}
        if method == "DESCRIBE":
            fields["Accept"] = "application/sdp"
        if authorization:
            fields["Authorization"] = authorization
        await self._stream.send(Request(method, self._url, Headers(fields)).encode())
        while True:
            message = await self._next()
            # Some cameras leave CSeq out.
            if isinstance(message, Response) and message.cseq in ("", str(self._cseq)):
                self._answers += 1
                return message

    async def _next(self) -> Message:
        while not self._messages:
            data = await self._stream.receive()
            self.received_bytes += len(data)
            if len(self._beginning) < _BEGINNING_BYTES:
                self._beginning = (self._beginning + data)[:_BEGINNING_BYTES]
            if self.received_bytes > _MAX_BYTES:
                raise RtspError(f"It sends over {_MAX_BYTES} bytes.")
            self._messages.extend(self._parser.feed(data))
        return self._messages.popleft()

"""RTSP requests and answers over one connection, for a client that reads no media."""

from collections import deque
from typing import NoReturn

import anyio
from anyio.abc import ByteStream

from agent_core.plugin.rtsp import Credentials, Headers, Message, Request, Response, RtspParser, answer

__all__ = ("ConnectionEnded", "Dialogue")

_UNAUTHORIZED = 401


class ConnectionEnded(Exception):
    """Error of a connection that the other side closed or that broke."""


class Dialogue:
    """Sends requests over `stream`, which stays the caller's to close. For one task at a time.

    Discards everything but the awaited answer, media included.
    """

    def __init__(self, stream: ByteStream, credentials: Credentials | None) -> None:
        self._stream = stream
        self._credentials = credentials
        self._challenges: tuple[str, ...] = ()
        self._parser = RtspParser()
        self._messages: deque[Message] = deque()
        self._cseq = 0

    async def ask(self, method: str, uri: str, headers: dict[str, str] | None = None) -> Response:
        """Send a request and return its answer; after a challenge, repeat it once with the credentials.

        Raises:
            ConnectionEnded: the connection ended before the answer.
            RtspError: the answer is not RTSP, or asks for an unknown kind of authentication.
        """
        response = await self._exchange(method, uri, headers or {})
        if response.status == _UNAUTHORIZED and self._credentials is not None:
            # Even if the request had credentials: their nonce may be stale.
            self._challenges = response.headers.all("WWW-Authenticate")
            if self._challenges:
                response = await self._exchange(method, uri, headers or {})
        return response

    async def listen(self) -> NoReturn:
        """Wait for the end of the connection.

        Raises:
            ConnectionEnded: always, unless cancelled.
            RtspError: the other side does not speak RTSP.
        """
        while True:
            await self._next()

    async def _exchange(self, method: str, uri: str, headers: dict[str, str]) -> Response:
        self._cseq += 1
        fields = {"CSeq": str(self._cseq), "User-Agent": "camera-agent", **headers}
        if self._challenges and self._credentials is not None:
            fields["Authorization"] = answer(self._challenges, self._credentials, method, uri)
        await self._send(Request(method, uri, Headers(fields)).encode())
        while True:
            message = await self._next()
            if isinstance(message, Response) and message.cseq == str(self._cseq):
                return message

    async def _send(self, data: bytes) -> None:
        try:
            await self._stream.send(data)
        except anyio.BrokenResourceError as error:
            raise ConnectionEnded from error

    async def _next(self) -> Message:
        while not self._messages:
            try:
                data = await self._stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
                raise ConnectionEnded from error
            self._messages.extend(self._parser.feed(data))
        return self._messages.popleft()

"""Pulled source of a path: a stream from another RTSP server, over TCP."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

import anyio
from anyio.abc import ByteStream

from agent_core.plugin.rtsp import (
    Credentials,
    Headers,
    Interleaved,
    Message,
    Request,
    Response,
    RtspError,
    RtspParser,
    SessionDescription,
    SessionId,
    Transport,
    answer,
    control_url,
)
from embedded_server.context import ServerContext
from embedded_server.media.stream import Stream

__all__ = ("RtspSource",)

_log = logging.getLogger("camera_agent.embedded_server")

_RETRY_S = 5.0
_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 25.0


class _Path(Protocol):
    """Path that receives the stream."""

    @property
    def name(self) -> str: ...

    def set_available(self, description: SessionDescription) -> Stream: ...

    def set_not_available(self) -> None: ...


class _PullFailed(Exception):
    """Failure of the other server; the message has no address and no credentials."""


class RtspSource:
    """Source that pulls a stream while started, and retries every five seconds."""

    def __init__(self, url: str, path: _Path, context: ServerContext) -> None:
        self._url = url
        self._path = path
        self._context = context
        self._scope: anyio.CancelScope | None = None

    def start(self) -> None:
        self._scope = anyio.CancelScope()
        self._context.spawn(partial(self._run, self._scope))

    def stop(self) -> None:
        """End the connection; the path loses the stream at once."""
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None
            self._path.set_not_available()

    async def _run(self, scope: anyio.CancelScope) -> None:
        with scope:
            while True:
                try:
                    await self._pull()
                except (
                    OSError,
                    anyio.EndOfStream,
                    anyio.BrokenResourceError,
                    RtspError,
                    _PullFailed,
                ) as error:
                    detail = (
                        str(error) if isinstance(error, (RtspError, _PullFailed)) else type(error).__name__
                    )
                    _log.warning(
                        "[path %s] the source failed, trying again in %.0f s: %s",
                        self._path.name,
                        _RETRY_S,
                        detail,
                    )
                if not scope.cancel_called:
                    self._path.set_not_available()
                await self._context.clock.sleep(_RETRY_S)

    async def _pull(self) -> None:
        async with _connection(self._url) as connection:
            with anyio.fail_after(_TIMEOUT_S):
                description = await connection.describe()
                await connection.play(description)
            stream = self._path.set_available(description)
            await connection.relay(stream)


@asynccontextmanager
async def _connection(url: str) -> AsyncIterator["_Connection"]:
    parts = urlsplit(url)
    if parts.scheme != "rtsp" or not parts.hostname:
        raise _PullFailed("the source has an unsupported kind; only rtsp:// is supported here")
    with anyio.fail_after(_TIMEOUT_S):
        stream = await anyio.connect_tcp(parts.hostname, parts.port or 554)
    async with stream:
        credentials = None
        if parts.username is not None:
            credentials = Credentials(unquote(parts.username), unquote(parts.password or ""))
        host = parts.netloc.rpartition("@")[2]
        yield _Connection(stream, urlunsplit(parts._replace(netloc=host)), credentials)


class _Connection:
    """RTSP client with the requests that pulling needs."""

    def __init__(self, stream: ByteStream, url: str, credentials: Credentials | None) -> None:
        self._stream = stream
        self._url = url
        self._credentials = credentials
        self._challenges: tuple[str, ...] = ()
        self._parser = RtspParser()
        self._messages: list[Message] = []
        self._cseq = 0
        self._session = ""
        self._base = url

    async def describe(self) -> SessionDescription:
        response = await self._ask("DESCRIBE", self._url, {"Accept": "application/sdp"})
        self._base = response.headers.get("Content-Base") or self._url
        description = SessionDescription.parse(response.body)
        return SessionDescription(
            description.lines, tuple(m for m in description.media if m.rtpmap is not None)
        )

    async def play(self, description: SessionDescription) -> None:
        for index, media in enumerate(description.media):
            transport = str(Transport(interleaved=(2 * index, 2 * index + 1)))
            response = await self._ask(
                "SETUP", control_url(self._base, media.control), {"Transport": transport}
            )
            self._session = SessionId.parse(response.headers.get("Session")).id
        await self._ask("PLAY", control_url(self._base, description.control), {"Range": "npt=0.000-"})

    async def relay(self, stream: Stream) -> None:
        """Relay packets until the other server ends the stream.

        Keep-alives are sent between packets, which are frequent enough for that.

        Raises:
            TimeoutError: no packet arrived for ten seconds.
        """
        keep_alive_at = anyio.current_time() + _KEEP_ALIVE_S
        while True:
            with anyio.fail_after(_TIMEOUT_S):
                message = await self._next()
            if isinstance(message, Interleaved) and message.channel < 2 * len(stream.tracks):
                track, is_control = divmod(message.channel, 2)
                (stream.rtcp if is_control else stream.rtp)(track, message.payload)
            if anyio.current_time() >= keep_alive_at:
                keep_alive_at += _KEEP_ALIVE_S
                await self._send("OPTIONS", self._url, {})

    async def _ask(self, method: str, url: str, headers: dict[str, str]) -> Response:
        response = await self._exchange(method, url, headers)
        if response.status == 401 and self._credentials is not None and not self._challenges:
            self._challenges = response.headers.all("WWW-Authenticate")
            response = await self._exchange(method, url, headers)
        if response.status != 200:
            raise _PullFailed(f"the server answers {response.status} to {method}")
        return response

    async def _exchange(self, method: str, url: str, headers: dict[str, str]) -> Response:
        await self._send(method, url, headers)
        while True:
            message = await self._next()
            if isinstance(message, Response) and message.cseq in ("", str(self._cseq)):
                return message

    async def _send(self, method: str, url: str, headers: dict[str, str]) -> None:
        self._cseq += 1
        fields = {"CSeq": str(self._cseq), "User-Agent": "camera-agent", **headers}
        if self._session:
            fields["Session"] = self._session
        if self._challenges and self._credentials is not None:
            fields["Authorization"] = answer(self._challenges, self._credentials, method, url)
        await self._stream.send(Request(method, url, Headers(fields)).encode())

    async def _next(self) -> Message:
        while not self._messages:
            self._messages = list(self._parser.feed(await self._stream.receive()))
            self._messages.reverse()
        return self._messages.pop()

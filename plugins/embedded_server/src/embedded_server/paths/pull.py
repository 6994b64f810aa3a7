"""Pulled source of a path: a stream from another RTSP server, over TCP."""

import ipaddress
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

import anyio
from anyio.abc import SocketAttribute, SocketStream

from agent_core.plugin import AgentError
from agent_core.plugin.rtsp import Credentials, RtspError, SessionDescription
from embedded_server.context import ServerContext
from embedded_server.media.stream import Stream
from embedded_server.paths.camera_client import CameraClient, PullFailed, Redirected

__all__ = ("RtspSource", "may_redirect", "unsupported")

_log = logging.getLogger("camera_agent.embedded_server")

_RETRY_S = 5.0
_TIMEOUT_S = 10.0
_RTSP_PORT = 554
#: The kernel asks after 1 s of silence, then each second. Silence itself is for the limit of packets to judge.
_KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 1),
    (socket.TCP_KEEPINTVL, 1),
    (socket.TCP_KEEPCNT, 30),
)


class _Path(Protocol):
    """Path that receives the stream."""

    @property
    def name(self) -> str: ...

    def set_available(self, description: SessionDescription) -> Stream: ...

    def set_not_available(self) -> None: ...


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
                    PullFailed,
                ) as error:
                    _log.warning(
                        "[path %s] the source failed, trying again in %.0f s: %s",
                        self._path.name,
                        _RETRY_S,
                        _detail(error),
                    )
                if not scope.cancel_called:
                    self._path.set_not_available()
                await self._context.clock.sleep(_RETRY_S)

    async def _pull(self) -> None:
        at = _address(self._url)
        try:
            async with _connection(at) as connection:
                origin = _remote(connection)
                await self._relay(connection, at)
        except Redirected as redirected:
            target = await self._target(redirected.location, at)
            async with _connection(target) as connection:
                if not may_redirect(origin, _remote(connection), _local(connection)):
                    raise PullFailed("the server redirects to an address that it may not name") from None
                await self._follow(connection, target)

    async def _target(self, location: str, at: SplitResult) -> SplitResult:
        """Return the address to open for a redirect from `at`, as the camera's source admits it.

        Raises:
            PullFailed: it is not an RTSP address, or the source refuses it.
        """
        target, judge = _address(location), self._context.redirects
        try:
            admitted = None if judge is None else await judge.admit(self._path.name, location)
        except AgentError as refused:
            raise PullFailed(f"the server redirects, which is refused: {refused.details}") from None
        if admitted is not None:
            target = _address(admitted)
        if _place(target) == _place(at):
            return target._replace(netloc=at.netloc)  # with its credentials, which no other server gets
        return target._replace(netloc=target.netloc.rpartition("@")[2])

    async def _follow(self, connection: SocketStream, at: SplitResult) -> None:
        try:
            await self._relay(connection, at)
        except Redirected:
            raise PullFailed("the server redirects more than once") from None

    async def _relay(self, connection: SocketStream, at: SplitResult) -> None:
        credentials = None
        if at.username is not None:
            credentials = Credentials(unquote(at.username), unquote(at.password or ""))
        url = urlunsplit(at._replace(netloc=at.netloc.rpartition("@")[2]))
        client = CameraClient(connection, url, credentials, self._path.name)
        description = await client.play(await client.describe())
        await client.relay(self._path.set_available(description))


def unsupported(scheme: str) -> str:
    """Return why a source with this scheme is refused, with the alternative."""
    return f"the source has an unsupported kind, {scheme}://; this server pulls rtsp:// only, MediaMTX others too"


def may_redirect(origin: str, target: str, local: str) -> bool:
    """Return whether a server at `origin` may send its client on to `target`.

    Refused are addresses that mean another server to the agent than to `origin`: link-local ones and those of this
    host, which serves the agent's own streams.

    Args:
        origin: address of the server that redirects.
        target: address of the server that it names.
        local: the client's end of the connection to `target`.
    """
    if origin == target:
        return True
    found = ipaddress.ip_address(target.partition("%")[0])
    address = (isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped) or found
    refused = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    return not refused and target != local


def _address(url: str) -> SplitResult:
    """Split an address.

    Raises:
        PullFailed: it is not an RTSP address.
    """
    try:
        parts = urlsplit(url)
        has_host = parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        raise PullFailed("the address of the source is not a URL") from None
    if parts.scheme != "rtsp" or not has_host:
        raise PullFailed(unsupported(parts.scheme))
    return parts


def _place(at: SplitResult) -> tuple[str | None, int]:
    return at.hostname, at.port or _RTSP_PORT


@asynccontextmanager
async def _connection(at: SplitResult) -> AsyncIterator[SocketStream]:
    assert at.hostname is not None  # noqa: S101 - `_address` checks it
    with anyio.move_on_after(_TIMEOUT_S) as scope:
        try:
            stream = await anyio.connect_tcp(at.hostname, at.port or _RTSP_PORT)
        except UnicodeError:  # of the name's encoding for the name servers
            raise PullFailed("the host in the address is not a name") from None
    if scope.cancelled_caught:
        raise PullFailed(f"the server does not accept the connection within {_TIMEOUT_S:.0f} s")
    async with stream:
        _ask_if_alive(stream)
        yield stream


def _ask_if_alive(connection: SocketStream) -> None:
    """Let the kernel ask a camera that sends nothing: one that was restarted meanwhile denies the connection at once."""
    raw = connection.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        raw.setsockopt(socket.IPPROTO_TCP, option, value)


def _remote(connection: SocketStream) -> str:
    return str(connection.extra(SocketAttribute.remote_address)[0])  # noqa: S610 - not Django


def _local(connection: SocketStream) -> str:
    return str(connection.extra(SocketAttribute.local_address)[0])  # noqa: S610 - not Django


def _detail(error: Exception) -> str:
    """Return the cause without addresses, which may contain credentials."""
    if isinstance(error, (RtspError, PullFailed)):
        return str(error)
    if isinstance(error, (anyio.EndOfStream, anyio.BrokenResourceError)):
        return "the server closed the connection"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__

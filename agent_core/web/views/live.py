"""`live.mjpeg`: a camera's pictures as they come, in `multipart/x-mixed-replace`."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from functools import partial
from typing import Protocol

import anyio
from starlette.requests import Request

from agent_core.base.clock import Clock
from agent_core.base.errors import AgentError, AuthenticationFailed
from agent_core.base.waiting import first_of
from agent_core.snapshots.models import LivePicture
from agent_core.web.access import peer_of
from agent_core.web.answers import wait_gone
from agent_core.web.body_writer import BodyWriter
from agent_core.web.peer import Peer
from agent_core.web.resource import GuardedSend
from agent_core.web.views.access import Grant, ViewAccess
from agent_core.web.views.meter import ViewMeter
from agent_core.web.views.parts import MEDIA_TYPE, Pace, PartCache, first_delimiter
from agent_core.web.views.places import Places
from agent_core.web.views.query import LiveParams, camera_of, params_of
from agent_core.web.views.view import View

__all__ = ("Feed", "LiveView", "OpenFeed", "RequireConnected", "Viewer")

_HEADERS = (
    (b"connection", b"close"),
    (b"x-accel-buffering", b"no"),  # nginx as a proxy would keep pictures until its buffers are full
)
#: Content type of the same bytes for scripts: WebKit gives a script no answer that is `multipart/x-mixed-replace`.
_BYTES = "application/octet-stream"
#: Time for a client to take the end of a view before it is cut off.
_END_S = 1.0


class Viewer(Protocol):
    """Receiver of a feed's pictures; see `agent_core.snapshots.live.Viewer`."""

    def takes(self, captured_s: float) -> bool: ...

    def show(self, picture: LivePicture) -> None: ...


class Feed(Protocol):
    """Live pictures of one camera in one size; see `agent_core.snapshots.live.LiveFeed`."""

    @property
    def newest(self) -> LivePicture | None: ...

    def shown_to(self, viewer: Viewer) -> AbstractContextManager[None]: ...

    async def wait_ended(self) -> None: ...


#: Gives the pictures of a camera, no wider than given. Raises NotFound, CaptureFailed or RateLimited.
OpenFeed = Callable[[str, int | None], AbstractAsyncContextManager[Feed]]
#: Checks that a camera exists and is connected, from memory. Raises NotFound or CaptureFailed.
RequireConnected = Callable[[str], None]


class LiveView(View):
    """Route of live pictures. A client that reads slowly gets the newest pictures, never older ones."""

    kind = "live"

    def __init__(
        self,
        access: ViewAccess,
        open_feed: OpenFeed,
        require_connected: RequireConnected,
        *,
        places: Places,
        meter: ViewMeter,
        clock: Clock,
    ) -> None:
        super().__init__(access, meter)
        self._open_feed = open_feed
        self._require_connected = require_connected
        self._places = places
        self._clock = clock
        self._parts = {is_chunked: PartCache(is_chunked=is_chunked) for is_chunked in (False, True)}

    async def answer(self, request: Request, grant: Grant, send: GuardedSend) -> None:
        params, camera, peer = params_of(request, LiveParams), camera_of(request), peer_of(request.scope)
        self._require_connected(camera)
        if request.method == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": _headers(request)})
            await send({"type": "http.response.body", "body": b""})
            return
        problem: AgentError | None = None

        async def show() -> None:
            nonlocal problem
            try:
                async with self._open_feed(camera, params.width) as feed:
                    await self._show(feed, Pace(params.fps), request, send)
            except AgentError as error:
                problem = error

        async def expire() -> None:
            nonlocal problem
            await grant.wait_expired(self._clock)
            problem = AuthenticationFailed("The credentials have expired.", reason="token_expired")

        with self._places.take(camera, peer.address):
            await first_of(partial(wait_gone, request.receive), show, expire)
            if send.has_begun:
                await _end(send, peer)
            elif problem is not None:
                raise problem

    async def _show(self, feed: Feed, pace: Pace, request: Request, send: GuardedSend) -> None:
        """Begin the response, and send pictures until there are no more."""
        writer = peer_of(request.scope).writer
        assert writer is not None  # noqa: S101 - set by the protocol that has read the request
        await send({"type": "http.response.start", "status": 200, "headers": _headers(request)})
        await send({"type": "http.response.body", "body": first_delimiter(), "more_body": True})
        parts = self._parts[request.scope["http_version"] != "1.0"]
        viewer = _WritingViewer(writer, feed, parts, pace, sent=partial(self._meter.sent, self.kind))
        with writer.following(viewer.show_missed), feed.shown_to(viewer):
            await feed.wait_ended()


class _WritingViewer:
    """Viewer that writes each picture to a client, unless the client has not taken the last one yet."""

    def __init__(
        self, writer: BodyWriter, feed: Feed, parts: PartCache, pace: Pace, *, sent: Callable[[], None]
    ) -> None:
        self._writer = writer
        self._feed = feed
        self._parts = parts
        self._pace = pace
        self._sent = sent
        # Not the picture itself, which would keep its bytes as long as this client is busy.
        self._shown_s: float | None = None

    def takes(self, captured_s: float) -> bool:
        return not self._writer.is_busy and self._pace.is_due(captured_s)

    def show(self, picture: LivePicture) -> None:
        if self.takes(picture.captured_s):
            self._shown_s = picture.captured_s
            self._pace.note(picture.captured_s)
            self._writer.write(self._parts.of(picture))
            self._sent()

    def show_missed(self) -> None:
        """Write the newest picture if the client was busy when it came."""
        newest = self._feed.newest
        if newest is not None and newest.captured_s != self._shown_s:
            self.show(newest)


def _headers(request: Request) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of the answer: bytes for a client that accepts nothing else, and otherwise the multipart type."""
    kind = _BYTES if request.headers.get("accept", "").strip().lower() == _BYTES else MEDIA_TYPE
    return ((b"content-type", kind.encode()), *_HEADERS)


async def _end(send: GuardedSend, peer: Peer) -> None:
    """End the response; cut off a client that does not take the end."""
    with anyio.move_on_after(_END_S) as limit:
        await send({"type": "http.response.body", "body": b""})
    if limit.cancelled_caught:
        peer.end()

"""Relay of WHEP, the signalling of WebRTC, to the media server; pictures and sound go directly to the client."""

import re
from collections.abc import Container, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from agent_core.base.clock import Clock
from agent_core.base.errors import (
    InvalidParams,
    MediaServerError,
    MediaServerUnavailable,
    NotFound,
    Unsupported,
)
from agent_core.base.models import Camera, CameraId
from agent_core.mediamtx import ServerLink
from agent_core.streams.models import WHEP_LIMIT_BYTES, WhepAnswer, WhepRequest
from agent_core.streams.service import StreamService
from agent_core.streams.whep_sessions import WhepSessions

if TYPE_CHECKING:
    import httpx

__all__ = ("WhepRelay",)

#: Time limit of one request to the media server: it waits for a stream that starts before it answers an offer.
_TIMEOUT_S = 10.0
#: Form of a session's name: the last part of its address, which the media server makes.
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_LOCATION = re.compile(
    r"(?:https?://[^/]+)?/(?P<camera>[^/]+)/whep/(?P<session>[A-Za-z0-9_-]{1,128})", re.ASCII
)
#: Headers that a client needs, with the names of the wire. `Location` is made anew.
_KEPT = ("accept-patch", "etag", "link")
#: Statuses by which the media server refuses what the client sent.
_CLIENTS_FAULT = frozenset({400, 406, 412, 415, 422})


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: "httpx.Headers"
    body: bytes


class WhepRelay:
    """Relays requests about one camera to the address of that camera at the media server, and to no other.

    Args:
        streams: starts the camera's stream, so that there is something to show.
        link: the media server.
        clock: times the end of sessions.

    Attributes:
        sessions: those of clients, which the composition root has followed.
    """

    def __init__(self, streams: StreamService, link: ServerLink, *, clock: Clock) -> None:
        self._streams = streams
        self._link = link
        self._holders = count(1)
        self.sessions = WhepSessions(self, clock)

    async def relay(self, camera: Camera, request: WhepRequest) -> WhepAnswer:
        """Relay a request and return the answer.

        Raises:
            Unsupported: there is no media server, or it has no WebRTC.
            NotFound: the session does not exist any more.
            InvalidParams: the media server refuses the offer or the change.
            RateLimited: there is no place for another session.
            CaptureFailed, MediaServerError: the stream does not start, or the media server does not answer as expected.
        """
        base = self._base_url()
        if request.session is not None:
            return await self._relay_change(base, camera.id, request.session, request)
        with ExitStack() as holds:
            if request.place is not None:
                holds.enter_context(request.place)
            answer, session = await self._make(base, camera, request)
            self.sessions.follow(
                camera.id,
                session,
                request.until_over or anyio.sleep_forever,
                session_id=answer.headers.get("id"),
                holds=holds.pop_all(),
            )
        return WhepAnswer(201, _kept(answer.headers), answer.body, session)

    async def _make(self, base: str, camera: Camera, request: WhepRequest) -> tuple[_Answer, str]:
        """Make a session; return the media server's answer and the session's name."""
        holder = f"whep {next(self._holders)}"
        await self._streams.start(camera, holder)
        try:
            answer = await self._ask(f"{base}/{camera.id}/whep", request)
        finally:
            # The client is a reader of the stream now, which keeps it live.
            self._streams.release(camera.id, holder)
        if answer.status != 201:
            raise _refusal(answer.status)
        found = _LOCATION.fullmatch(answer.headers.get("location", ""))
        if found is None or found["camera"] != camera.id:
            raise _wrong("it told no address of the session")
        return answer, found["session"]

    async def _relay_change(
        self, base: str, camera: CameraId, session: str, request: WhepRequest
    ) -> WhepAnswer:
        """Relay the change of a session, and follow one that is over no longer."""
        try:
            answer = await self._change(base, camera, session, request)
        except NotFound:
            self.sessions.forget(camera, session)
            raise
        if request.method == "DELETE":
            self.sessions.forget(camera, session)
        return answer

    async def end(self, camera: CameraId, session: str) -> None:
        """End a session. Raises NotFound if it has ended, and AgentError if the media server does not do so."""
        await self._change(self._base_url(), camera, session, WhepRequest("DELETE", session, {}, b""))

    async def ids(self) -> Container[str]:
        """Return the ids of all sessions at the media server, each a reader of a path. Raises AgentError."""
        paths = await self._link.require().client.list_paths()
        return {reader.id for path in paths for reader in path.readers if reader.type == "webRTCSession"}

    async def _change(self, base: str, camera: CameraId, session: str, request: WhepRequest) -> WhepAnswer:
        if not _SESSION.fullmatch(session):
            raise _no_session(session)
        answer = await self._ask(f"{base}/{camera}/whep/{session}", request)
        if answer.status == 404 or (answer.status == 400 and request.method == "DELETE"):
            raise _no_session(session)  # MediaMTX 1.20.1 answers 400 for one that it does not know
        if not 200 <= answer.status < 300:
            raise _refusal(answer.status)
        return WhepAnswer(answer.status, _kept(answer.headers), answer.body)

    def _base_url(self) -> str:
        """Return the address of the media server's WebRTC as the agent reaches it. Raises Unsupported."""
        addresses, server = self._streams.addresses, self._link.current
        if server is None or "webrtc" not in addresses.served:
            raise Unsupported(
                "The media server has no WebRTC."
                if server
                else "There is no media server, or it does not answer.",
                feature="webrtc",
                reason="no_webrtc",
                suggestion="Use live.mjpeg, or a MediaMTX: media_server.mode = managed or external.",
            )
        host = urlsplit(server.endpoints.rtsp_url).hostname or "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{addresses.webrtc_port}"

    async def _ask(self, url: str, request: WhepRequest) -> _Answer:
        """Send the request and return the answer, of which at most `WHEP_LIMIT_BYTES` are read."""
        import httpx

        from agent_core.mediamtx.client import open_transport

        server = self._link.current
        known = server.endpoints.credentials if server is not None else None
        headers = httpx.Headers(
            dict(request.headers), encoding="latin-1"
        )  # as HTTP/1.1 reads a client's bytes
        auth = httpx.BasicAuth(known.user, known.password) if known else None
        try:
            async with (
                httpx.AsyncClient(
                    transport=open_transport(url), auth=auth, timeout=_TIMEOUT_S, trust_env=False
                ) as http,
                http.stream(request.method, url, content=request.body, headers=headers) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > WHEP_LIMIT_BYTES:
                        raise _wrong("its answer is too long")
                return _Answer(response.status_code, response.headers, bytes(body))
        except httpx.HTTPError as error:
            raise MediaServerUnavailable(
                f"The media server's WebRTC does not answer: {type(error).__name__}."
            ) from error


def _kept(headers: "httpx.Headers") -> Mapping[str, str]:
    return MappingProxyType({name: headers[name] for name in _KEPT if name in headers})


def _no_session(session: str) -> NotFound:
    return NotFound("This session has ended.", resource="whep_session", id=session[:128])


def _refusal(status: int) -> MediaServerError | InvalidParams:
    if status in _CLIENTS_FAULT:
        return InvalidParams(
            "The media server refuses the session description.",
            param="body",
            rule="whep",
            hint="an offer of SDP",
        )
    return _wrong(f"it answered {status}")


def _wrong(fault: str) -> MediaServerError:
    return MediaServerError(f"The media server's WebRTC cannot be used: {fault}.", reason="whep_failed")

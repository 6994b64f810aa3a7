"""RTSP client of another server, with what cameras need besides the standard."""

import logging
from collections import deque
from collections.abc import Mapping

import anyio
from anyio.abc import ByteStream

from agent_core.plugin.rtsp import (
    Credentials,
    Headers,
    Interleaved,
    MediaDescription,
    Message,
    Request,
    Response,
    RtspParser,
    SessionDescription,
    SessionId,
    Transport,
    answer,
    control_url,
)
from embedded_server.media.stream import Stream

__all__ = ("CameraClient", "PullFailed", "Redirected")

_log = logging.getLogger("camera_agent.embedded_server")

_TIMEOUT_S = 10.0
#: RFC 2326, 12.37: time-out of a session whose answer names none.
_SESSION_TIMEOUT_S = 60
#: Keep-alives are sent after this part of the session's time-out, at least every 25 and at most every second.
_KEEP_ALIVE_SHARE = 0.4
_LONGEST_KEEP_ALIVE_S = 25.0
_SHORTEST_KEEP_ALIVE_S = 1.0
#: Frames that may arrive before the answer to PLAY; they often contain the first key picture.
_EARLY_FRAMES, _EARLY_BYTES = 2048, 8 << 20
_REDIRECTS = frozenset((301, 302, 303, 305, 307, 308))


class PullFailed(Exception):
    """Failure of the other server; the message has no address and no credentials."""


class Redirected(Exception):
    """Answer that the stream is at another address."""

    def __init__(self, location: str) -> None:
        super().__init__("redirected")
        self.location = location


class CameraClient:
    """Client on one connection: call `describe`, `play` and `relay` in this order.

    Args:
        url: address of the stream without user and password.
        name: name of the path, for the log.
    """

    def __init__(self, stream: ByteStream, url: str, credentials: Credentials | None, name: str) -> None:
        self._stream = stream
        self._url = url
        self._credentials = credentials
        self._name = name
        self._challenges: tuple[str, ...] = ()
        self._parser = RtspParser()
        self._messages: deque[Message] = deque()
        self._early: deque[Interleaved] = deque()
        self._early_bytes = 0
        self._cseq = 0
        self._session = ""
        self._base = url
        self._keep_alive_method = "OPTIONS"
        self._keep_alive_s = _LONGEST_KEEP_ALIVE_S
        #: Track and kind of packet by channel.
        self._channels: dict[int, tuple[int, bool]] = {}

    async def describe(self) -> SessionDescription:
        """Return the media of the stream that can be relayed.

        Raises:
            Redirected: the stream is at another address.
            PullFailed: the server refuses, or offers no such medium.
            RtspError: the server's answer is malformed.
        """
        options = await self._exchange("OPTIONS", self._url, {})
        if "GET_PARAMETER" in options.headers.get("Public").upper():
            self._keep_alive_method = "GET_PARAMETER"  # for some cameras OPTIONS is no sign of life
        response = self._require(
            "DESCRIBE", await self._ask("DESCRIBE", self._url, {"Accept": "application/sdp"})
        )
        base = response.headers.get("Content-Base") or response.headers.get("Content-Location")
        self._base = control_url(self._url, base)
        description = SessionDescription.parse(response.body)
        media = tuple(one for one in description.media if self._is_relayed(one, description.media))
        if not media:
            raise PullFailed("the server offers no medium that can be relayed")
        return SessionDescription(description.lines, media)

    def _is_relayed(self, media: MediaDescription, offered: tuple[MediaDescription, ...]) -> bool:
        if media.rtpmap is None:
            self._skip(media, "its format is unknown")
            return False
        if _is_back_channel(media, offered):
            self._skip(media, "it is the back channel to the camera's loudspeaker")
            return False
        return True

    def _skip(self, media: MediaDescription, why: str) -> None:
        _log.info("[path %s] skipping a medium of the source (%s): %s", self._name, media.kind, why)

    async def play(self, description: SessionDescription) -> SessionDescription:
        """Start the stream, and return the media that it has; refused ones are left out.

        Raises:
            PullFailed: the server refuses all media or the only video, or the stream.
            RtspError: the server's answer is malformed.
        """
        accepted: list[MediaDescription] = []
        refusal = ""
        for media in description.media:
            if status := await self._set_up(media, len(accepted)):
                refusal = f"the server answers {status} to SETUP"
                self._skip(media, refusal)
            else:
                accepted.append(media)
        has_video = any(media.kind == "video" for media in accepted)
        if refusal and not has_video:
            raise PullFailed(refusal)
        url = control_url(self._base, description.control)
        self._require("PLAY", await self._ask("PLAY", url, {"Range": "npt=0.000-"}))
        return SessionDescription(description.lines, tuple(accepted))

    async def _set_up(self, media: MediaDescription, track: int) -> int:
        """Set a medium up as the track, and return 0, or the status of the refusal."""
        wanted = (2 * track, 2 * track + 1)
        url = control_url(self._base, media.control)
        response = await self._ask("SETUP", url, {"Transport": str(Transport(interleaved=wanted))})
        if response.status != 200:
            return response.status
        if session := response.headers.get("Session"):
            self._take_session(SessionId.parse(session))
        given = response.headers.get("Transport")
        transport = Transport.parse(given)[0] if given else Transport()
        if transport.lower != "TCP" and transport.interleaved is None:
            raise PullFailed("the server insists on UDP, only TCP is supported")
        channels = transport.interleaved or wanted
        if self._channels.keys() & set(channels):
            raise PullFailed("the server gives two media the same channel")
        self._channels |= {channels[0]: (track, False), channels[1]: (track, True)}
        return 0

    def _take_session(self, session: SessionId) -> None:
        self._session = session.id
        wanted_s = (session.timeout_s or _SESSION_TIMEOUT_S) * _KEEP_ALIVE_SHARE
        self._keep_alive_s = max(_SHORTEST_KEEP_ALIVE_S, min(_LONGEST_KEEP_ALIVE_S, wanted_s))

    async def relay(self, stream: Stream) -> None:
        """Relay packets until the other server ends the stream.

        Raises:
            PullFailed: no packet of the stream arrived for ten seconds.
        """
        while self._early:
            self._relay_frame(self._early.popleft(), stream)
        now_s = anyio.current_time()
        keep_alive_at, ends_at = now_s + self._keep_alive_s, now_s + _TIMEOUT_S
        strangers: set[int] = set()
        while True:
            message = await self._next_before(min(keep_alive_at, ends_at))
            now_s = anyio.current_time()
            if isinstance(message, Interleaved):
                if self._relay_frame(message, stream):
                    ends_at = now_s + _TIMEOUT_S
                else:
                    strangers.add(message.channel)
            elif message is not None:
                await self._converse(message)
            if now_s >= ends_at:
                raise PullFailed(_silence(strangers))
            if now_s >= keep_alive_at:
                keep_alive_at = now_s + self._keep_alive_s
                await self._send(self._keep_alive_method, self._url, {})

    def _relay_frame(self, frame: Interleaved, stream: Stream) -> bool:
        """Relay a frame, and return whether it is one of the stream."""
        track, is_control = self._channels.get(frame.channel, (None, False))
        if track is None:
            return False
        (stream.rtcp if is_control else stream.rtp)(track, frame.payload)
        return True

    async def _converse(self, message: Request | Response) -> None:
        """Answer a request of the server; learn from its answer to a keep-alive."""
        if isinstance(message, Request):
            known = message.method in ("OPTIONS", "GET_PARAMETER", "SET_PARAMETER")
            fields = {"CSeq": message.cseq} if message.cseq else {}
            await self._write(Response(200 if known else 501, Headers(fields)).encode())
        elif message.status == 401:
            self._challenges = message.headers.all("WWW-Authenticate") or self._challenges
        elif message.status >= 400:
            self._keep_alive_method = "OPTIONS"

    async def _ask(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        """Send a request and return its answer, with credentials if the server asks for them."""
        response = await self._exchange(method, url, headers)
        challenges = response.headers.all("WWW-Authenticate")
        if response.status == 401 and self._credentials is not None and challenges != self._challenges:
            self._challenges = challenges
            response = await self._exchange(method, url, headers)
        return response

    def _require(self, method: str, response: Response) -> Response:
        if response.status in _REDIRECTS and response.headers.get("Location"):
            raise Redirected(response.headers.get("Location"))
        if response.status == 401:
            raise PullFailed(f"the server answers 401 to {method}: it needs another user or password")
        if response.status != 200:
            raise PullFailed(f"the server answers {response.status} to {method}")
        return response

    async def _exchange(self, method: str, url: str, headers: Mapping[str, str]) -> Response:
        await self._send(method, url, headers)
        ends_at = anyio.current_time() + _TIMEOUT_S
        while (message := await self._next_before(ends_at)) is not None:
            if isinstance(message, Response) and message.cseq in ("", str(self._cseq)):
                return message
            if isinstance(message, Interleaved):
                self._keep_early(message)
            elif isinstance(message, Request):
                await self._converse(message)
        raise PullFailed(f"the server does not answer {method} within {_TIMEOUT_S:.0f} s")

    def _keep_early(self, frame: Interleaved) -> None:
        self._early.append(frame)
        self._early_bytes += len(frame.payload)
        while len(self._early) > _EARLY_FRAMES or self._early_bytes > _EARLY_BYTES:
            self._early_bytes -= len(self._early.popleft().payload)

    async def _send(self, method: str, url: str, headers: Mapping[str, str]) -> None:
        self._cseq += 1
        fields = {"CSeq": str(self._cseq), "User-Agent": "camera-agent", **headers}
        if self._session:
            fields["Session"] = self._session
        if self._challenges and self._credentials is not None:
            fields["Authorization"] = answer(self._challenges, self._credentials, method, url)
        await self._write(Request(method, url, Headers(fields)).encode())

    async def _write(self, data: bytes) -> None:
        with anyio.move_on_after(_TIMEOUT_S) as scope:
            await self._stream.send(data)
        if scope.cancelled_caught:
            raise PullFailed(f"the server accepts nothing for {_TIMEOUT_S:.0f} s")

    async def _next_before(self, at_s: float) -> Message | None:
        """Return the next message; None if none arrives before that time of the event loop."""
        while not self._messages:
            with anyio.move_on_after(at_s - anyio.current_time()) as scope:
                data = await self._stream.receive()
            if scope.cancelled_caught:
                return None
            self._messages.extend(self._parser.feed(data))
        return self._messages.popleft()


def _is_back_channel(media: MediaDescription, offered: tuple[MediaDescription, ...]) -> bool:
    """Return whether the camera expects audio from the client.

    `sendonly` describes the client, unless all media have it: the camera then describes itself.
    """
    others_receive = any(one.attribute("sendonly") is None for one in offered)
    return media.kind == "audio" and media.attribute("sendonly") is not None and others_receive


def _silence(channels: set[int]) -> str:
    if not channels:
        return f"no packet for {_TIMEOUT_S:.0f} s"
    listed = ", ".join(map(str, sorted(channels)[:8]))
    return f"no packet for {_TIMEOUT_S:.0f} s, except on channels that were not set up: {listed}"

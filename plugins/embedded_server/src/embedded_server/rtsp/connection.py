"""RTSP connection: requests and their answers, with gortsplib's statuses."""

import logging
import uuid
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketAttribute, SocketStream

from agent_core.plugin.rtsp import (
    Interleaved,
    Message,
    Request,
    Response,
    RtspError,
    RtspParser,
    SessionDescription,
    SessionId,
    Transport,
)
from embedded_server.config.gotext import ConfigRefused
from embedded_server.connections.listening import host_in_url
from embedded_server.connections.peers import Endpoint
from embedded_server.connections.places import Place
from embedded_server.context import ServerContext
from embedded_server.paths.path import NoStream, PathRefused
from embedded_server.paths.paths import Paths
from embedded_server.rtsp.access import RtspAccess, Unauthorized
from embedded_server.rtsp.addresses import RtspTarget, published_track
from embedded_server.rtsp.answer import Answer, Refused
from embedded_server.rtsp.outbox import Outbox
from embedded_server.rtsp.session import RtspSession, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ("RtspConnection",)

_log = logging.getLogger("camera_agent.embedded_server")

_PUBLIC = "DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, TEARDOWN"
_IDLE_TIMEOUT_S = 60.0
#: A client that connects has a request to send.
_FIRST_REQUEST_S = 10.0
_SILENT_PUBLISHER_S = 10.0
#: RTSP over TCP has 256 channels, two for each medium.
_MAX_MEDIA = 16


class RtspConnection:
    """Connection of one client; `run` serves it until either side ends it, and then leaves the path."""

    def __init__(self, stream: SocketStream, paths: Paths, context: ServerContext, place: Place) -> None:
        self.id = str(uuid.uuid4())
        self.created = context.clock.now()
        # A client that has already left has no address: `::` replaces it.
        remote = stream.extra(SocketAttribute.remote_address, ("::", 0))  # noqa: S610 - not Django
        client = Endpoint.of(str(remote[0]), int(remote[1]))
        self.host = client.address
        self.address = f"{host_in_url(client.address)}:{client.port}"
        self.session: RtspSession | None = None
        self.received_bytes = 0
        self.outbox = Outbox()
        self._stream = stream
        self._paths = paths
        self._context = context
        self._place = place
        self._access = RtspAccess(self.host, is_own=place.is_own, agent=context.agent)
        self._announced_at = ""
        self._methods: Mapping[str, Callable[[Request], Awaitable[Answer]]] = {
            "OPTIONS": self._options,
            "DESCRIBE": self._describe,
            "ANNOUNCE": self._announce,
            "SETUP": self._setup,
            "PLAY": self._play,
            "RECORD": self._record,
            "PAUSE": self._pause,
            "TEARDOWN": self._teardown,
            "GET_PARAMETER": self._get_parameter,
            "SET_PARAMETER": self._set_parameter,
        }

    def close(self) -> None:
        """End the connection now."""
        self._place.scope.cancel()

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as tg:
                tg.start_soon(self._write)
                await self._read()
                self.outbox.end()
        finally:
            if self.session is not None:
                self.session.leave(self._paths)

    async def _write(self) -> None:
        try:
            await self.outbox.run(self._stream)
        except (TimeoutError, anyio.BrokenResourceError, anyio.ClosedResourceError):
            self.close()

    async def _read(self) -> None:
        parser = RtspParser()
        while True:
            try:
                with anyio.fail_after(self._receive_timeout_s()):
                    data = await self._stream.receive()
                self.received_bytes += len(data)
                for message in parser.feed(data):
                    if not await self._handle(message):
                        return
            except (RtspError, TimeoutError, anyio.EndOfStream, anyio.BrokenResourceError) as error:
                _log.debug("[RTSP] connection closed: %s", str(error) or type(error).__name__)
                return

    def _receive_timeout_s(self) -> float | None:
        state = self.session.state if self.session else State.INITIAL
        if state is State.PLAY:
            return None
        if not self.received_bytes:
            return _FIRST_REQUEST_S
        return _SILENT_PUBLISHER_S if state is State.RECORD else _IDLE_TIMEOUT_S

    async def _handle(self, message: Message) -> bool:
        """Handle a message; return whether the connection continues."""
        if isinstance(message, Interleaved):
            if self.session is not None:
                self.session.received(message)
            return True
        if isinstance(message, Response) or self._context.faults.muted:
            return True
        if message.method not in self._methods:
            return False
        answer = await self._answer(message)
        token = self.session.token if self.session else None
        if not self.outbox.put(answer.encode(message, token)):
            return False
        if message.method == "PLAY" and answer.status == 200 and self.session is not None:
            self.session.play()
        return not answer.close

    async def _answer(self, request: Request) -> Answer:
        if not request.cseq:
            return Answer(400, close=True)
        try:
            return await self._methods[request.method](request)
        except Unauthorized as error:
            return Answer(401, {"WWW-Authenticate": str(error.challenge)})
        except Refused as refusal:
            _log.info("[RTSP] %s refused: %s", request.method, refusal)
            return Answer(refusal.status, close=refusal.status != 501)
        except NoStream as error:
            _log.info("[RTSP] %s refused: %s", request.method, error)
            return Answer(404, close=True)
        except (ConfigRefused, PathRefused, RtspError) as error:
            _log.info("[RTSP] %s refused: %s", request.method, error)
            return Answer(400, close=True)

    def _require_session(self, request: Request) -> RtspSession:
        text = request.headers.get("Session")
        if not text:
            raise Refused(501, "the request names no session")
        if self.session is None or SessionId.parse(text).id != self.session.token:
            raise Refused(454, "the session does not exist")
        return self.session

    async def _options(self, request: Request) -> Answer:
        if request.headers.get("Session"):
            self._require_session(request)
            return Answer(headers={"Public": _PUBLIC}, in_session=True)
        return Answer(headers={"Public": _PUBLIC})

    async def _describe(self, request: Request) -> Answer:
        target = RtspTarget.parse(request.uri)
        name = target.path.removesuffix("/")
        await self._access.authorize(self._paths.configuration, "read", name, request)
        path = self._paths.obtain(name)
        try:
            stream = await path.describe()
        finally:
            self._paths.release(path)
        headers = {"Content-Base": f"{request.uri}/", "Content-Type": "application/sdp"}
        return Answer(headers=headers, body=stream.describe())

    async def _announce(self, request: Request) -> Answer:
        if self.session is not None:
            raise Refused(400, "the connection already has a session")
        if request.headers.get("Content-Type").partition(";")[0].strip().lower() != "application/sdp":
            raise Refused(400, "Content-Type header is missing or unsupported")
        target = RtspTarget.parse(request.uri)
        user = await self._access.authorize(self._paths.configuration, "publish", target.path, request)
        description = SessionDescription.parse(request.body)
        if len(description.media) > _MAX_MEDIA:
            raise Refused(400, "too many medias")
        self._paths.configuration.find(target.path)
        session = self._new_session(request, user)
        session.description, session.path_name, session.state = description, target.path, State.PRE_RECORD
        session.query = target.query
        self._announced_at = request.uri
        return Answer()

    def _new_session(self, request: Request, user: str) -> RtspSession:
        self.session = RtspSession(self.created, self.address, self._send_packet, self.close)
        self.session.created = self._context.clock.now()
        self.session.user, self.session.user_agent = user, request.headers.get("User-Agent")
        return self.session

    def _send_packet(self, data: bytes) -> bool:
        return not self._context.faults.muted and self.outbox.put_packet(data)

    async def _setup(self, request: Request) -> Answer:
        session = self.session
        if session is not None and request.headers.get("Session"):
            self._require_session(request)
        if session is not None and session.state not in (State.INITIAL, State.PRE_PLAY, State.PRE_RECORD):
            raise Refused(400, "SETUP is not possible in this state")
        offered = Transport.parse(request.headers.get("Transport"))
        transport = next((one for one in offered if one.lower == "TCP"), None)
        publishing = session is not None and session.state is State.PRE_RECORD
        if transport is None:
            self.session = session or self._new_session(request, "")
            return Answer(461, in_session=True)
        if transport.record != publishing and (publishing or transport.record):
            raise Refused(400, "the mode of the transport does not match the session")
        if publishing and session is not None:
            return self._setup_publisher(session, request, transport)
        return await self._setup_reader(request, transport)

    def _setup_publisher(self, session: RtspSession, request: Request, transport: Transport) -> Answer:
        assert session.description is not None  # noqa: S101 - set with the state
        track = published_track(session.description, self._announced_at, request.uri)
        if track is None:
            raise Refused(400, "media not found")
        channels = self._channels(session, track, transport)
        return Answer(headers={"Transport": str(Transport(interleaved=channels))}, in_session=True)

    async def _setup_reader(self, request: Request, transport: Transport) -> Answer:
        target = RtspTarget.parse(request.uri)
        if target.track is None:
            raise Refused(400, "invalid SETUP path")
        session = self.session or self._new_session(request, "")
        if session.state is State.INITIAL:
            session.user = await self._access.authorize(
                self._paths.configuration, "read", target.path, request
            )
            session.query = target.query
            await session.read(self._paths, target.path)
            self._place.is_settled = True
        stream = session.stream
        if stream is None or target.path != session.path_name or target.track >= len(stream.tracks):
            raise Refused(400, "media not found")
        channels = self._channels(session, target.track, transport)
        ssrc = int.from_bytes(stream.tracks[target.track].ssrc, "big")
        return Answer(headers={"Transport": str(Transport(interleaved=channels, ssrc=ssrc))}, in_session=True)

    def _channels(self, session: RtspSession, track: int, transport: Transport) -> tuple[int, int]:
        if track in session.channels:
            raise Refused(400, "media has already been setup")
        used = session.used_channels
        free = next(number for number in range(0, 256, 2) if not {number, number + 1} & used)
        first, second = transport.interleaved or (free, free + 1)
        if second != first + 1 or {first, second} & used:
            raise Refused(400, "invalid interleaved IDs, or they are in use")
        session.channels[track] = first
        return first, second

    async def _play(self, request: Request) -> Answer:
        session = self._require_session(request)
        if session.state not in (State.PRE_PLAY, State.PLAY) or session.stream is None:
            raise Refused(400, "PLAY is not possible in this state")
        base = RtspTarget.parse(request.uri).base(session.path_name)
        info = session.stream.rtp_info(base, tuple(session.channels))
        return Answer(headers={"RTP-Info": info}, in_session=True)

    async def _record(self, request: Request) -> Answer:
        session = self._require_session(request)
        if session.state is not State.PRE_RECORD or session.description is None:
            raise Refused(400, "RECORD is not possible in this state")
        if len(session.channels) != len(session.description.media):
            raise Refused(400, "not all announced medias have been setup")
        session.record(self._paths)
        self._place.is_settled = True
        return Answer(in_session=True)

    async def _pause(self, request: Request) -> Answer:
        self._require_session(request).pause()
        return Answer(in_session=True)

    async def _teardown(self, request: Request) -> Answer:
        self._require_session(request).leave(self._paths)
        self.session = None
        self._place.is_settled = False
        return Answer()

    async def _get_parameter(self, request: Request) -> Answer:
        self._require_session(request)
        return Answer(headers={"Content-Type": "text/parameters"}, in_session=True)

    async def _set_parameter(self, request: Request) -> Answer:
        raise Refused(501, "SET_PARAMETER is not supported")

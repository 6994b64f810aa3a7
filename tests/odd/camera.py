"""RTSP server of one stream that deviates as cameras do, or fails at a chosen point."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum

import anyio
from anyio.abc import SocketAttribute, SocketStream, TaskGroup

from agent_core.plugin.rtsp import (
    Authorization,
    Challenge,
    Credentials,
    Headers,
    Interleaved,
    Request,
    Response,
    RtspParser,
    Transport,
)
from tests.odd.video import RATE, Habits, Packetizer, Video, described

__all__ = ("AUDIO", "BACK_CHANNEL", "METADATA", "PACKET", "USER", "VIDEO", "Camera", "Then")

VIDEO = (
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; "
    "sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==\r\na=control:trackID=0\r\n"
)
AUDIO = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=0\r\n"
BACK_CHANNEL = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=1\r\na=sendonly\r\n"
METADATA = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=1\r\na=recvonly\r\n"
PACKET = b"\x80\xe0\0\1\0\0\0\0\0\0\0\1\x65\x88\x80\x10"
#: User of a camera with a password.
USER = "op"
#: Pause between two packets of a camera without a video, and between two pieces of an endless answer.
_PAUSE_S = 0.02
#: Errors of a connection that the other side, or this one, has closed.
_CLOSED = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Then(StrEnum):
    """What a camera does after its last good picture."""

    STALL = "stall"  # the connection stays open
    CLOSE = "close"
    TEAR = "tear"  # closes amid a packet
    NOISE = "noise"  # packets with random payloads
    GARBAGE = "garbage"  # bytes that are not RTSP
    REPEAT = "repeat"


@dataclass(slots=True)
class Camera:
    """Server of one stream; the attributes are its oddities. `accepted`, `open` and `asked` tell what happened.

    Attributes:
        media: media of its description; those of `video` by default.
        answers: status by method, or by method and last part of the address; 200 otherwise.
        fields: additional fields by method.
        channel: first channel that it uses, whatever was asked for; None to use what was asked for.
        transport: value of its Transport field, `{}` for the channels; empty to send none.
        stray: bytes before each frame.
        early: sends frames before it answers PLAY, and none afterwards.
        redirect: value of the Location field of an answer 302 to DESCRIBE of `/`, with `{port}`.
        timeout_s: time-out of its sessions.
        sign_of_life: the only method that counts; once it arrives the event `alive` is set.
        password: the camera asks for it.
        one_nonce: it always gives the same nonce, instead of another one for each method.
        scheme: `digest` or `basic`.
        video: pictures that it sends at their rate; one invalid packet again and again by default.
        pictures: number of pictures of `video` before `then`; all by default.
        then: what follows them.
        is_lost: is asked for the number of each packet of `video` if it does not arrive.
        other: pictures that follow them instead, and are repeated.
        closes_at: method instead of whose answer it closes the connection; `accept` to close it at once.
        silent_at: method from which on it answers nothing; `accept` to answer nothing at all.
        endless: `fields` or `body`: its answer to DESCRIBE never ends.
    """

    media: str = ""
    answers: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    channel: int | None = None
    transport: str = "RTP/AVP/TCP;unicast;interleaved={}"
    stray: bytes = b""
    early: bool = False
    redirect: str = ""
    timeout_s: int = 1
    sign_of_life: str = "OPTIONS"
    password: str = ""
    one_nonce: bool = False
    scheme: str = "digest"
    video: Video | None = None
    pictures: int | None = None
    then: Then = Then.REPEAT
    is_lost: Callable[[int], bool] = field(default=lambda _number: False)
    other: Video | None = None
    closes_at: str = ""
    silent_at: str = ""
    endless: str = ""
    accepted: int = field(default=0, init=False)
    open: int = field(default=0, init=False)
    asked: list[str] = field(default_factory=list, init=False)
    alive: anyio.Event = field(default_factory=anyio.Event, init=False)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve while the context is open; yield the port."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        async with listener, anyio.create_task_group() as tg:
            tg.start_soon(listener.serve, self._serve)
            yield int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django
            tg.cancel_scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        self.accepted += 1
        self.open += 1
        try:
            async with stream, anyio.create_task_group() as tg:
                await _Connection(self, stream, tg).run()
                tg.cancel_scope.cancel()
        except* _CLOSED:
            pass
        finally:
            self.open -= 1

    @property
    def description(self) -> bytes:
        return described(self.media or (self.video.media_with_sets if self.video else VIDEO))


class _Connection:
    """One connection to the camera."""

    def __init__(self, camera: Camera, stream: SocketStream, tg: TaskGroup) -> None:
        self._camera = camera
        self._stream = stream
        self._tg = tg
        self._writing = anyio.Lock()
        self._first_channel = 0
        self._is_silent = False
        self._packets = 0

    async def run(self) -> None:
        """Answer requests until one of both sides closes the connection."""
        if self._camera.closes_at == "accept":
            return
        self._is_silent = self._camera.silent_at == "accept"
        parser = RtspParser()
        while True:
            for message in parser.feed(await self._stream.receive()):
                if isinstance(message, Request):
                    if message.method == self._camera.closes_at:
                        return
                    await self._answer(message)

    async def _answer(self, request: Request) -> None:
        camera, method = self._camera, request.method
        if "PLAY" in camera.asked and method == camera.sign_of_life:
            camera.alive.set()
        camera.asked.append(method)
        self._is_silent |= method == camera.silent_at
        if self._is_silent:
            return
        if method == "PLAY" and camera.early:
            await self._send_packets(5)
        if method == "DESCRIBE" and camera.endless:
            await self._send_endlessly()
        response = self._response(request)
        # In Latin-1, as some cameras do.
        await self._write(response.encode().replace("\u00e9".encode(), b"\xe9"))
        if method == "PLAY" and response.status == 200 and not camera.early:
            self._tg.start_soon(self._play)

    def _response(self, request: Request) -> Response:
        camera, method, last = self._camera, request.method, request.uri.rpartition("/")[2]
        status = camera.answers.get(f"{method} {last}", camera.answers.get(method, 200))
        fields = {
            "CSeq": request.cseq,
            "Session": f"77;timeout={camera.timeout_s}",
            **camera.fields.get(method, {}),
        }
        body = b""
        if method == "DESCRIBE":
            fields["Content-Type"], body = "application/sdp", camera.description
        if method == "DESCRIBE" and camera.redirect and request.uri.endswith("/cam"):
            port = self._stream.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
            status, body, fields["Location"] = 302, b"", camera.redirect.format(port=port)
        if method == "SETUP" and _is_over_tcp(request):
            fields |= self._transport(request, last)
        elif method == "SETUP":
            status = 461
        if camera.password and not self._is_allowed(request):
            status, body = 401, b""
            fields["WWW-Authenticate"] = str(self._challenge(method))
        return Response(status, Headers(fields), body)

    def _transport(self, request: Request, last: str) -> Mapping[str, str]:
        camera = self._camera
        (asked,) = Transport.parse(request.headers.get("Transport"))
        assert asked.interleaved is not None
        first = asked.interleaved[0] if camera.channel is None else camera.channel
        if last == "trackID=0":
            self._first_channel = first
        return {"Transport": camera.transport.format(f"{first}-{first + 1}")} if camera.transport else {}

    def _challenge(self, method: str) -> Challenge:
        nonce = "nonce" if self._camera.one_nonce else f"nonce for {method}"
        return Challenge(self._camera.scheme, "cam", nonce)

    def _is_allowed(self, request: Request) -> bool:
        text = request.headers.get("Authorization")
        known = Credentials(USER, self._camera.password)
        method = request.method
        return bool(text) and Authorization.parse(text).proves(known, self._challenge(method), method)

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            await self._stream.send(data)

    async def _send_endlessly(self) -> None:
        length = "Content-Type: application/sdp\r\nContent-Length: 100000000\r\n\r\n"
        await self._write(
            b"RTSP/1.0 200 OK\r\n" + (length.encode() if self._camera.endless == "body" else b"")
        )
        while True:
            await self._write(b"X-Endless: and so on\r\n" * 100)
            await anyio.sleep(_PAUSE_S)

    # Packets.

    async def _play(self) -> None:
        camera = self._camera
        if camera.video is None:
            await self._send_packets(1000)
            return
        packetizer = Packetizer(camera.video.codec, Habits())
        await self._send_video(packetizer, camera.video, 0, camera.pictures)
        follow, at = camera.other or camera.video, camera.video.length
        while camera.then is Then.REPEAT:
            await self._send_video(packetizer, follow, at)
            at += follow.length
        await self._misbehave()

    async def _send_packets(self, count: int) -> None:
        for _ in range(count):
            await self._send_packet(PACKET)
            await anyio.sleep(_PAUSE_S)

    async def _send_packet(self, packet: bytes) -> None:
        await self._write(self._camera.stray + Interleaved(self._first_channel, packet).encode())

    async def _send_video(
        self, packetizer: Packetizer, video: Video, at: int, pictures: int | None = None
    ) -> None:
        for nalus, time in video.pictures[:pictures]:
            for packet in packetizer.packets(nalus, at + time):
                if not self._camera.is_lost(self._packets):
                    await self._send_packet(packet)
                self._packets += 1
            await anyio.sleep(1 / RATE)

    async def _misbehave(self) -> None:
        match self._camera.then:
            case Then.CLOSE:
                await self._stream.aclose()
            case Then.TEAR:
                packet = Interleaved(self._first_channel, PACKET + bytes(1000)).encode()
                await self._write(packet[: len(packet) // 2])
                await self._stream.aclose()
            case Then.NOISE | Then.GARBAGE:
                await self._make_noise(is_framed=self._camera.then is Then.NOISE)
            case _:
                await anyio.sleep_forever()

    async def _make_noise(self, *, is_framed: bool) -> None:
        chance = random.Random(0)
        for number in range(0x10000):
            noise = chance.randbytes(700)
            head = bytes([0x80, 0xE0]) + number.to_bytes(2, "big") + bytes(4) + b"\0\0\0\1"
            await (self._send_packet(head + noise) if is_framed else self._write(noise))
            await anyio.sleep(_PAUSE_S)


def _is_over_tcp(request: Request) -> bool:
    return any(one.interleaved for one in Transport.parse(request.headers.get("Transport")))

"""Sources that deviate as cameras do: a stream, or a line in the log that says what was refused."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
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
from embedded_server.paths.pull import may_redirect

VIDEO = (
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; "
    "sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==\r\na=control:trackID=0\r\n"
)
BACK_CHANNEL = "m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:trackID=1\r\na=sendonly\r\n"
METADATA = "m=application 0 RTP/AVP 107\r\na=rtpmap:107 vnd.onvif.metadata/90000\r\na=control:trackID=1\r\na=recvonly\r\n"
PACKET = b"\x80\xe0\0\1\0\0\0\0\0\0\0\1\x65\x88\x80\x10"


@dataclass(slots=True)
class Camera:
    """Server of one stream; the attributes are its oddities.

    Attributes:
        media: media of its description.
        answers: status by method, or by method and last part of the address; 200 otherwise.
        fields: additional fields by method.
        channel: first channel that it uses, whatever was asked for; None to use what was asked for.
        transport: value of its Transport field, `{}` for the channels; empty to send none.
        stray: bytes before each frame.
        early: sends frames before it answers PLAY, and none afterwards.
        redirect: value of the Location field of an answer 302 to DESCRIBE of `/`, with `{port}`.
        sign_of_life: the only method that counts; once it arrives the event `alive` is set.
        password: the camera asks for it, with a new nonce for each method.
    """

    media: str = VIDEO
    answers: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    channel: int | None = None
    transport: str = "RTP/AVP/TCP;unicast;interleaved={}"
    stray: bytes = b""
    early: bool = False
    redirect: str = ""
    sign_of_life: str = "OPTIONS"
    password: str = ""
    asked: list[str] = field(default_factory=list, init=False)
    alive: anyio.Event = field(default_factory=anyio.Event, init=False)
    first_channel: int = field(default=0, init=False)
    writing: anyio.Lock = field(default_factory=anyio.Lock, init=False)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve while the context is open; yield the port."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        async with listener, anyio.create_task_group() as tg:
            tg.start_soon(listener.serve, self._serve)
            yield int(listener.extra(SocketAttribute.local_port))  # noqa: S610 - not Django
            tg.cancel_scope.cancel()

    async def _serve(self, stream: SocketStream) -> None:
        parser = RtspParser()
        async with stream, anyio.create_task_group() as tg:
            try:
                while True:
                    for message in parser.feed(await stream.receive()):
                        if isinstance(message, Request):
                            await self._answer(stream, message, tg)
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                tg.cancel_scope.cancel()

    async def _answer(self, stream: SocketStream, request: Request, tg: TaskGroup) -> None:
        method, last = request.method, request.uri.rpartition("/")[2]
        playing = "PLAY" in self.asked
        self.asked.append(method)
        if playing and method == self.sign_of_life:
            self.alive.set()
        status = self.answers.get(f"{method} {last}", self.answers.get(method, 200))
        fields = {"CSeq": request.cseq, "Session": "77;timeout=1", **self.fields.get(method, {})}
        body = b""
        if method == "DESCRIBE":
            fields["Content-Type"] = "application/sdp"
            body = f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n{self.media}".encode()
        if method == "DESCRIBE" and self.redirect and request.uri.endswith("/cam"):
            port = stream.extra(SocketAttribute.local_port)  # noqa: S610 - not Django
            status, body, fields["Location"] = 302, b"", self.redirect.format(port=port)
        if method == "SETUP":
            fields |= self._transport(request, last)
        if self.password and not self._is_allowed(request):
            status, body = 401, b""
            fields["WWW-Authenticate"] = str(Challenge("digest", "cam", f"nonce for {method}"))
        if method == "PLAY" and self.early:
            await self._send(stream, 5)
        data = Response(status, Headers(fields), body).encode()
        async with self.writing:
            await stream.send(data.replace("\u00e9".encode(), b"\xe9"))  # in Latin-1
        if method == "PLAY" and not self.early:
            tg.start_soon(self._send, stream)

    def _transport(self, request: Request, last: str) -> Mapping[str, str]:
        (asked,) = Transport.parse(request.headers.get("Transport"))
        assert asked.interleaved is not None
        first = asked.interleaved[0] if self.channel is None else self.channel
        if last == "trackID=0":
            self.first_channel = first
        return {"Transport": self.transport.format(f"{first}-{first + 1}")} if self.transport else {}

    def _is_allowed(self, request: Request) -> bool:
        text = request.headers.get("Authorization")
        challenge = Challenge("digest", "cam", f"nonce for {request.method}")
        known = Credentials("op", self.password)
        return bool(text) and Authorization.parse(text).proves(known, challenge, request.method)

    async def _send(self, stream: SocketStream, count: int = 1000) -> None:
        for _ in range(count):
            async with self.writing:
                await stream.send(self.stray + Interleaved(self.first_channel, PACKET).encode())
            await anyio.sleep(0.02)


async def pulled(media: Any, camera: Camera, *, credentials: str = "") -> None:
    """Wait until packets of the camera arrive."""
    async with replace(camera).serving() as port:
        await media.add("cam", source=f"rtsp://{credentials}127.0.0.1:{port}/cam", rtspTransport="tcp")
        with anyio.fail_after(20):
            while (await media.api.get("/v3/paths/get/cam")).json()["inboundBytes"] < len(PACKET):
                await anyio.sleep(0.02)
        assert (await media.api.delete("/v3/config/paths/delete/cam")).status_code == 200


@pytest.mark.parametrize(
    "camera",
    [
        Camera(),
        Camera(channel=10),
        Camera(media=VIDEO + BACK_CHANNEL, answers={"SETUP trackID=1": 400}),
        Camera(media=VIDEO.replace("rtpmap:96", "rtpmap: 96")),
        Camera(media=VIDEO + "m=application 0 RTP/AVP 107\r\na=rtpmap:107 \r\na=control:trackID=1\r\n"),
        Camera(redirect="rtsp://127.0.0.1:{port}/other"),
        Camera(fields={"OPTIONS": {"Server": "Camera"}, "SETUP": {"Server": "Cam\u00e9ra"}}),
        Camera(stray=bytes(4)),
        Camera(fields={"DESCRIBE": {"Content-Base": "/base/"}}),
    ],
    ids=[
        "plain",
        "channels",
        "back-channel",
        "space",
        "no-format",
        "redirect",
        "encoding",
        "stray",
        "base",
    ],
)
async def test_a_deviating_source_is_pulled(media: Any, camera: Camera) -> None:
    await pulled(media, camera)


@pytest.mark.parametrize(
    "camera",
    [
        Camera(transport=""),
        Camera(media=METADATA.replace("=1", "=2") + VIDEO + METADATA, answers={"SETUP trackID=1": 461}),
        Camera(media="range:npt=now-\r\n" + VIDEO),
        Camera(early=True),
        Camera(answers={"OPTIONS": 404}),
        Camera(password="s3"),
    ],
    ids=["no-transport", "metadata", "stray-line", "early", "no-options", "nonce"],
)
async def test_the_embedded_server_pulls_what_mediamtx_does_not(
    embedded: Any, media_of: Callable[[Any], Any], camera: Camera
) -> None:
    async with media_of(embedded) as media:
        await pulled(media, camera, credentials="op:s3@" if camera.password else "")


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (Camera(answers={"SETUP trackID=0": 404}), "answers 404 to SETUP"),
        (Camera(media=VIDEO + METADATA, answers={"SETUP trackID=0": 461}), "answers 461 to SETUP"),
        (Camera(media=BACK_CHANNEL.replace("rtpmap:0 PCMU/8000", "x").replace(" 0\r", " 99\r")), "no medium"),
        (Camera(transport="RTP/AVP;unicast;client_port={}"), "insists on UDP"),
        (Camera(media=VIDEO + METADATA, channel=4), "two media the same channel"),
        (Camera(redirect="rtsp://127.0.0.1:{port}/cam"), "redirects more than once"),
        (Camera(redirect="http://127.0.0.1:{port}/cam"), "unsupported kind"),
    ],
)
async def test_a_refusal_is_in_the_log(
    embedded: Any,
    media_of: Callable[[Any], Any],
    caplog: pytest.LogCaptureFixture,
    camera: Camera,
    words: str,
) -> None:
    async with media_of(embedded) as media, replace(camera).serving() as port:
        await media.add("cam", source=f"rtsp://op:s3cret@127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            while "the source failed" not in caplog.text:
                await anyio.sleep(0.02)
    assert words in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("public", "answers", "method"),
    [
        ("OPTIONS, GET_PARAMETER", {}, "GET_PARAMETER"),
        ("OPTIONS", {}, "OPTIONS"),
        ("OPTIONS, GET_PARAMETER", {"GET_PARAMETER": 400}, "OPTIONS"),
    ],
)
async def test_a_session_is_kept_alive_as_the_camera_understands_it(
    embedded: Any,
    media_of: Callable[[Any], Any],
    public: str,
    answers: Mapping[str, int],
    method: str,
) -> None:
    camera = Camera(fields={"OPTIONS": {"Public": public}}, answers=answers, sign_of_life=method)
    async with media_of(embedded) as media, camera.serving() as port:
        await media.add("cam", source=f"rtsp://127.0.0.1:{port}/cam")
        with anyio.fail_after(20):
            await camera.alive.wait()


@pytest.mark.parametrize(
    ("origin", "target", "local", "allowed"),
    [
        ("192.0.2.1", "192.0.2.1", "192.0.2.9", True),
        ("192.0.2.1", "192.0.2.2", "192.0.2.9", True),
        ("192.0.2.1", "10.0.0.1", "10.0.0.9", True),
        ("192.0.2.1", "127.0.0.1", "127.0.0.1", False),
        ("192.0.2.1", "::1", "::1", False),
        ("192.0.2.1", "::ffff:127.0.0.1", "::ffff:127.0.0.1", False),
        ("192.0.2.1", "192.0.2.9", "192.0.2.9", False),
        ("192.0.2.1", "169.254.169.254", "169.254.1.1", False),
        ("192.0.2.1", "fe80::1%eth0", "fe80::2%eth0", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
    ],
)
def test_a_camera_may_not_redirect_into_this_host(
    origin: str, target: str, local: str, allowed: bool
) -> None:
    assert may_redirect(origin, target, local) is allowed

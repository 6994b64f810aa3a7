"""Outcome of a probe for each kind of server that a scan meets."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import count

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from agent_core.plugin.rtsp import Credentials, Headers, Request, Response
from external_discovery.probe import Probe, ProbeOutcome, ProbeTarget, Track, probe
from plugins.external_discovery.tests.odd_servers import H264, LOOPBACK, Script, served

pytestmark = pytest.mark.anyio

RIGHT = Credentials("viewer", "right pass:word")
PATIENT_S = 20.0
BASIC = 'Basic realm="cam"'
SHA256 = 'Digest realm="cam", nonce="abc", qop="auth", algorithm=SHA-256, opaque="o"'


def always(described: Response | bytes | None, options: Response | bytes | None = None) -> Script:
    return Script(lambda request: (options or Response(200)) if request.method == "OPTIONS" else described)


def unauthorized(*challenges: str) -> Response:
    return Response(401, Headers([("WWW-Authenticate", each) for each in challenges]))


async def outcome(script: Callable[[SocketStream], Awaitable[None]], **options: object) -> Probe:
    async with served(script) as target:
        return await probe(target, **{"timeout_s": PATIENT_S, **options})  # type: ignore[arg-type] # as given


async def test_a_stream_is_described_with_its_codecs_and_the_servers_name() -> None:
    body = (
        b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"
        b"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/48000/2\r\n"
        b"m=audio 0 RTP/AVP 8\r\nm=application 0 RTP/AVP 99\r\na=rtpmap:99 smpte336m/90000\r\n"
        b"m=application 0 RTP/AVP 107\r\n"
    )
    script = always(Response(200, Headers({"Server": "Cam\tera/1.0" + "x" * 500}), body))
    found = await outcome(script)
    assert found.outcome is ProbeOutcome.STREAM
    assert found.tracks == (
        Track("video", "H265", 90_000),
        Track("audio", "AAC", 48_000, 2),
        Track("audio", "PCMA", 8_000),
        Track("application", "KLV", 90_000),
        Track("application", "UNKNOWN"),
    )
    assert found.server.startswith("Cam era/1.0")
    assert len(found.server) <= 80


async def test_requests_name_the_host_of_the_url_and_go_to_the_pinned_address() -> None:
    script = always(Response(200, body=H264))
    async with served(script) as target:
        await probe(target, timeout_s=PATIENT_S)
    assert [request.method for request in script.requests] == ["OPTIONS", "DESCRIBE"]
    assert {request.uri for request in script.requests} == {f"rtsp://camera.test:{target.port}/live?x=1"}
    assert script.requests[1].headers.get("Accept") == "application/sdp"


@pytest.mark.parametrize("status", [400, 404, 454])
async def test_a_path_without_stream(status: int) -> None:
    assert (await outcome(always(Response(status)))).outcome is ProbeOutcome.NOT_FOUND


@pytest.mark.parametrize("body", [b"", b"v=0\r\n", b"<html></html>"])
async def test_a_description_without_media_is_no_stream(body: bytes) -> None:
    assert (await outcome(always(Response(200, body=body)))).outcome is ProbeOutcome.NOT_FOUND


@pytest.mark.parametrize("options", [Response(501), Response(404), Response(405), unauthorized(BASIC)])
async def test_a_server_that_refuses_options_still_describes_its_stream(options: Response) -> None:
    assert (await outcome(always(Response(200, body=H264), options))).outcome is ProbeOutcome.STREAM


async def test_a_server_with_too_many_readers_refuses() -> None:
    found = await outcome(always(Response(503)))
    assert found.outcome is ProbeOutcome.REFUSED
    assert "503" in found.details


async def test_a_redirect_is_reported_and_not_followed() -> None:
    elsewhere = always(Response(200, body=H264))
    async with served(elsewhere) as other:
        location = f"rtsp://admin:hunter2@127.0.0.1:{other.port}/secret"
        found = await outcome(always(Response(302, Headers({"Location": location}))))
        at_once = await outcome(always(None, Response(301, Headers({"Location": "\t"}))))
    assert (found.outcome, at_once.outcome) == (ProbeOutcome.REDIRECTED, ProbeOutcome.REDIRECTED)
    assert f"127.0.0.1:{other.port}" in found.details
    assert "hunter2" not in found.details
    assert elsewhere.connections == 0


async def test_a_server_that_asks_for_a_password() -> None:
    script = always(unauthorized(BASIC))
    found = await outcome(script)
    assert found.outcome is ProbeOutcome.NEEDS_CREDENTIALS
    assert found.realm == "cam"
    assert len(script.requests) == 2


async def test_a_wrong_password_is_sent_once_because_cameras_lock_accounts() -> None:
    numbers = count()
    script = always(None)
    script = Script(lambda _: unauthorized(f'Digest realm="cam", nonce="{next(numbers)}"'))
    assert (await outcome(script, credentials=RIGHT)).outcome is ProbeOutcome.WRONG_CREDENTIALS
    assert sum("Authorization" in request.headers for request in script.requests) == 1


async def test_an_expired_challenge_is_answered_again() -> None:
    def answers(request: Request) -> Response:
        if 'nonce="new"' in request.headers.get("Authorization"):
            return Response(200, body=H264)
        given = "Authorization" in request.headers
        return unauthorized(
            f'Digest realm="cam", nonce="{"new" if given else "old"}", stale={str(given).upper()}'
        )

    assert (await outcome(Script(answers), credentials=RIGHT)).outcome is ProbeOutcome.STREAM


async def test_a_user_without_the_right_to_the_stream() -> None:
    script = always(Response(403))
    assert (await outcome(script, credentials=RIGHT)).outcome is ProbeOutcome.WRONG_CREDENTIALS
    assert (await outcome(script)).outcome is ProbeOutcome.REFUSED


async def test_an_unknown_way_to_send_the_password() -> None:
    script = always(unauthorized('Bearer realm="cam"'))
    found = await outcome(script, credentials=RIGHT)
    assert found.outcome is ProbeOutcome.WRONG_CREDENTIALS
    assert not any("Authorization" in request.headers for request in script.requests)


async def test_sha_256_as_an_independent_client_computes_it() -> None:
    script = Script(
        lambda request: (
            Response(200, body=H264) if "Authorization" in request.headers else unauthorized(SHA256)
        )
    )
    async with served(script) as target:
        assert (await probe(target, credentials=RIGHT, timeout_s=PATIENT_S)).outcome is ProbeOutcome.STREAM
    sent = script.requests[-1].headers.get("Authorization")
    given = dict(pair.split("=", 1) for pair in sent.removeprefix("Digest ").replace(", ", ",").split(","))
    theirs = _HttpxDigest(RIGHT.user, RIGHT.password, given["cnonce"].strip('"'))
    assert given["response"].strip('"') == theirs.response("DESCRIBE", target.url)


class _HttpxDigest(httpx.DigestAuth):
    """httpx's client of Digest, with the client's nonce of another answer."""

    def __init__(self, user: str, password: str, nonce: str) -> None:
        super().__init__(user, password)
        self._nonce = nonce

    def _get_client_nonce(self, nonce_count: int, nonce: bytes) -> bytes:
        return self._nonce.encode()

    def response(self, method: str, url: str) -> str:
        request = httpx.Request(method, "http://host/")
        challenge = self._parse_challenge(request, httpx.Response(401), SHA256)
        # httpx hashes the target of the request, which in RTSP is the whole URL.
        field = self._build_auth_header(_Requested(method.encode(), url), challenge)  # type: ignore[arg-type]
        return field.partition('response="')[2].partition('"')[0]


class _Requested:
    """Request as far as httpx's Digest reads it."""

    def __init__(self, method: bytes, url: str) -> None:
        self.method = method.decode()
        self.url = self
        self.raw_path = url.encode()


async def test_servers_that_close_the_connection_after_each_answer() -> None:
    def answers(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(200)
        return Response(200, body=H264) if "Authorization" in request.headers else unauthorized(BASIC)

    script = Script(answers, one_each=True)
    assert (await outcome(script, credentials=RIGHT)).outcome is ProbeOutcome.STREAM
    assert script.connections == 3


async def test_a_server_that_closes_instead_of_describing_is_met_a_bounded_number_of_times() -> None:
    script = Script(lambda request: Response(200) if request.method == "OPTIONS" else None)
    assert (await outcome(script)).outcome is ProbeOutcome.NOT_RTSP
    assert script.connections == 2


async def test_a_port_that_accepts_and_says_nothing_is_no_stream() -> None:
    found = await outcome(_silence, timeout_s=0.2)
    assert found.outcome is ProbeOutcome.SILENT
    assert "says nothing within 0.2 s" in found.details


async def _silence(stream: SocketStream) -> None:
    await anyio.sleep_forever()


async def _listen(stream: SocketStream) -> None:
    while True:
        await stream.receive()


def _sending(*chunks: bytes) -> Callable[[SocketStream], Awaitable[None]]:
    """Send the chunks, then keep the connection open."""

    async def handler(stream: SocketStream) -> None:
        for chunk in chunks:
            await stream.send(chunk)
        await _listen(stream)

    return handler


@pytest.mark.parametrize(
    ("begins", "expected"),
    [(b"RTSP/1.0 200 OK\r\nServer: ", ProbeOutcome.SILENT), (b"Z", ProbeOutcome.NOT_RTSP)],
)
async def test_a_server_that_drips_is_left_at_the_end_of_the_time(
    begins: bytes, expected: ProbeOutcome
) -> None:
    sent = 0

    async def drip(stream: SocketStream) -> None:
        nonlocal sent
        await stream.send(begins)
        while True:
            await stream.send(b"x")
            sent += 1
            await anyio.sleep(0.01)

    found = await outcome(drip, timeout_s=0.5)
    assert sent > 1
    assert found.outcome is expected


async def test_headers_without_end_are_cut() -> None:
    await _is_cut(b"RTSP/1.0 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n")


async def test_frames_without_end_are_cut() -> None:
    await _is_cut(b"", b"$\x00\xff\xff" + bytes(0xFFFF))


async def test_stray_bytes_without_end_are_cut() -> None:
    await _is_cut(b"", bytes(1000))


async def _is_cut(begins: bytes, repeated: bytes) -> None:
    """Check that the probe leaves before its time-out, by the bytes alone."""
    sent_bytes = 0

    async def endless(stream: SocketStream) -> None:
        nonlocal sent_bytes
        await stream.send(begins)
        while True:
            await stream.send(repeated)
            sent_bytes += len(repeated)

    found = await outcome(endless, timeout_s=40)
    assert found.outcome is ProbeOutcome.NOT_RTSP
    assert sent_bytes < 64 << 20  # what the buffers of both sockets hold comes on top of what is read


async def test_a_body_without_end_is_not_awaited() -> None:
    script = always(b"RTSP/1.0 200 OK\r\nCSeq: 2\r\nContent-Length: 999999999\r\n\r\n")
    assert (await outcome(script)).outcome is ProbeOutcome.NOT_RTSP


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "SSH"),
        (b"\x00\xff\x13garbage \x80\r\n\r\n", "RTSP"),
        (b"RTSP/1.0 999\x00\r\n\r\n", "RTSP"),
        (b"RTSP/2.0 200 OK\r\nCSeq: 1\r\n\r\n", "RTSP"),
        (b"RTSP/1.0 200 OK\r\nno colon\r\n\r\n", "RTSP"),
    ],
)
async def test_other_protocols_and_garbage(said: bytes, named: str) -> None:
    found = await outcome(_sending(said))
    assert found.outcome is ProbeOutcome.NOT_RTSP
    assert named in found.details


async def test_garbage_that_is_no_message_yet_counts_as_garbage_at_the_end_of_the_time() -> None:
    assert (await outcome(_sending(b"220 mail ready\r\n"), timeout_s=0.3)).outcome is ProbeOutcome.NOT_RTSP


async def test_a_host_that_closes_at_once() -> None:
    async def close(stream: SocketStream) -> None:
        return

    assert (await outcome(close)).outcome is ProbeOutcome.NOT_RTSP


async def test_an_answer_without_cseq_counts() -> None:
    script = Script(lambda _: b"RTSP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(H264) + H264)
    assert (await outcome(script)).outcome is ProbeOutcome.STREAM


async def test_a_port_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    found = await probe(ProbeTarget(LOOPBACK, port, "/", "127.0.0.1"), timeout_s=PATIENT_S)
    assert found.outcome is ProbeOutcome.REFUSED


@pytest.fixture
def full_port() -> Iterator[int]:
    """Port whose queue of connections is full: the kernel drops further ones, like a firewall."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = []
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(server.getsockname())
            waiting.append(client)
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


@pytest.mark.parametrize(("timeout_s", "connect_timeout_s"), [(0.2, None), (PATIENT_S, 0.2)])
async def test_a_host_that_drops_packets_is_unreachable(
    full_port: int, timeout_s: float, connect_timeout_s: float | None
) -> None:
    target = ProbeTarget(LOOPBACK, full_port, "/", "127.0.0.1")
    found = await probe(target, timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)
    assert found.outcome is ProbeOutcome.UNREACHABLE
    assert "0.2 s" in found.details


async def test_an_address_without_route_is_unreachable() -> None:
    # RFC 6666: a prefix for discarding, which no host has.
    target = ProbeTarget(IPv6Address("100::1"), 554, "/", "100::1")
    assert (await probe(target, timeout_s=0.5)).outcome is ProbeOutcome.UNREACHABLE


async def test_cancelling_closes_the_connection() -> None:
    closed = anyio.Event()
    asked = anyio.Event()

    async def wait(stream: SocketStream) -> None:
        await stream.receive()
        asked.set()
        try:
            await _listen(stream)
        finally:
            closed.set()

    async with served(wait) as target:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: probe(target, timeout_s=PATIENT_S))
            await asked.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(PATIENT_S):
            await closed.wait()


async def test_a_server_without_tls_at_a_tls_address() -> None:
    async with served(always(Response(200, body=H264))) as target:
        found = await probe(replace(target, tls=True), timeout_s=2)
    assert found.outcome in (ProbeOutcome.NOT_RTSP, ProbeOutcome.UNREACHABLE)
    assert target.url.startswith("rtsp://")


@pytest.mark.parametrize("path", ["live", "", "/a b", "/a\r\nX: y", "/\x7f", "/\u00e9"])
def test_a_path_that_would_break_a_request_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        ProbeTarget(IPv4Address("192.0.2.1"), 554, path, "camera.test")


def test_an_ipv6_host_stands_in_brackets() -> None:
    target = ProbeTarget(IPv6Address("2001:db8::1"), 554, "/", "2001:db8::1", tls=True)
    assert target.url == "rtsps://[2001:db8::1]:554/"

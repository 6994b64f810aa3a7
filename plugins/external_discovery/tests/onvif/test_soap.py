"""Devices whose web server does something else than answer."""

import gzip
import hashlib
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address, ip_address

import anyio
import httpx
import pytest
from anyio.abc import SocketStream

from agent_core.plugin.rtsp import Credentials
from agent_core.testing import SimulatedClock
from external_discovery.discovery.onvif.device import profiles_of
from external_discovery.discovery.onvif.soap import DeviceFailed, SoapClient, service_at, utc_of
from external_discovery.discovery.onvif.xml import parse
from plugins.external_discovery.tests.odd_servers import LOOPBACK, served

pytestmark = pytest.mark.anyio

VIEWER = Credentials("viewer <&>", "right")
EMPTY = b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>%s</s:Body></s:Envelope>'


def http(status: str, body: bytes = b"", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields]
    return "\r\n".join((*lines, "", "")).encode() + body


def answering(
    *answers: bytes, requests: list[bytes] | None = None
) -> Callable[[SocketStream], Awaitable[None]]:
    """Give one of the answers to each request, the last one again and again."""
    waiting = list(answers)

    async def handle(stream: SocketStream) -> None:
        data = b""
        while b"Envelope>" not in data:
            data += await stream.receive()
        if requests is not None:
            requests.append(data)
        await stream.send(waiting.pop(0) if len(waiting) > 1 else waiting[0])

    return handle


@asynccontextmanager
async def client(timeout_s: float = 10) -> AsyncIterator[SoapClient]:
    async with httpx.AsyncClient(timeout=timeout_s, trust_env=False) as transport:
        yield SoapClient(transport, VIEWER, SimulatedClock())


async def failure(*answers: bytes) -> DeviceFailed:
    async with served(answering(*answers)) as target, client() as device:
        with pytest.raises(DeviceFailed) as caught:
            await device.ask(f"http://127.0.0.1:{target.port}/onvif", "<GetProfiles/>")
    assert VIEWER.password not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (http("302 Found", b"", "Location: http://203.0.113.7/"), "redirects"),
        (http("404 Not Found", b"<html>no</html>"), "404"),
        (http("500 Internal Server Error", b"oops"), "500"),
        (http("200 OK", b"not XML"), "cannot be read"),
        (http("200 OK", b"<html/>"), "no SOAP"),
        (http("200 OK", b"x" * (600 << 10)), "over 524288 bytes"),
        (http("200 OK", gzip.compress(bytes(64 << 20)), "Content-Encoding: gzip"), "cannot be read"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer"),
        (b"", "does not answer"),
    ],
    ids=["redirect", "404", "500", "text", "HTML", "large", "compressed", "SSH", "closed"],
)
async def test_what_is_no_answer(answer: bytes, said: str) -> None:
    assert said in str(await failure(answer))


@pytest.mark.parametrize(
    ("fault", "not_authorized"),
    [
        (b"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code></s:Fault>", True),
        (b"<s:Fault><faultcode>wsse:FailedAuthentication</faultcode></s:Fault>", True),
        (b"<s:Fault><s:Reason><s:Text>Wsse authorized time check failed.</s:Text></s:Reason></s:Fault>", False),
        (b"<s:Fault/>", False),
    ],
)  # fmt: skip
async def test_faults(fault: bytes, not_authorized: bool) -> None:
    found = await failure(http("400 Bad Request", EMPTY % fault))
    assert found.not_authorized is not_authorized
    assert ("time check" in str(found)) == (b"time check" in fault)


async def test_a_device_that_says_nothing_is_left_after_a_time() -> None:
    async def silent(stream: SocketStream) -> None:
        await anyio.sleep_forever()

    async with served(silent) as target, client(0.2) as device:
        with pytest.raises(DeviceFailed, match="ReadTimeout"):
            await device.ask(f"http://127.0.0.1:{target.port}/", "<GetProfiles/>")


async def test_a_web_server_that_wants_http_digest_gets_it_once() -> None:
    requests: list[bytes] = []
    challenge = http("401 Unauthorized", b"", 'WWW-Authenticate: Digest realm="cam", nonce="n", qop="auth"')
    async with served(answering(challenge, http("200 OK", EMPTY % b""), requests=requests)) as target:
        async with client() as device:
            await device.ask(f"http://127.0.0.1:{target.port}/", "<GetProfiles/>")
    assert [b"Authorization: Digest" in each for each in requests] == [False, True]


@pytest.mark.parametrize(
    "challenge",
    [
        'realm="cam", nonce="n", qop="auth-int"',
        'realm="cam", nonce="n", algorithm=SHA3',
        'realm="cam", nonce="n", stale',
        'realm="cam"',
        "",
    ],
)
async def test_a_digest_that_cannot_be_answered_is_a_failure_of_the_device(challenge: str) -> None:
    await failure(http("401 Unauthorized", b"", f"WWW-Authenticate: Digest {challenge}"))


async def test_basic_is_never_answered() -> None:
    requests: list[bytes] = []
    challenge = http("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="cam"')
    async with served(answering(challenge, requests=requests)) as target, client() as device:
        with pytest.raises(DeviceFailed) as caught:
            await device.ask(f"http://127.0.0.1:{target.port}/", "<GetProfiles/>")
    assert caught.value.not_authorized
    assert len(requests) == 1


async def test_the_token_is_the_one_of_the_standard() -> None:
    requests: list[bytes] = []
    async with (
        served(answering(http("200 OK", EMPTY % b""), requests=requests)) as target,
        client() as device,
    ):
        await device.ask(f"http://127.0.0.1:{target.port}/", "<GetProfiles/>")
        await device.ask(f"http://127.0.0.1:{target.port}/", "<GetProfiles/>", secured=False)
        expected = device.clock.now()
    sent = parse(requests[0].partition(b"\r\n\r\n")[2])
    token = next(sent.all("UsernameToken"))
    created = token.value("Created")
    assert datetime.fromisoformat(created) == expected.replace(microsecond=0)
    secret = b64decode(token.value("Nonce")) + created.encode() + VIEWER.password.encode()
    assert token.value("Password") == b64encode(hashlib.sha1(secret).digest()).decode()  # noqa: S324 # the standard's
    assert token.value("Username") == VIEWER.user
    assert b"UsernameToken" not in requests[1]
    assert VIEWER.password.encode() not in requests[0]


@pytest.mark.parametrize(
    ("url", "host", "expected"),
    [
        ("http://192.0.2.9/onvif/x?y=1", "192.0.2.7", "http://192.0.2.7/onvif/x?y=1"),
        ("http://[fe80::1]:8000/onvif", "192.0.2.7", "http://192.0.2.7:8000/onvif"),
        ("https://user:pw@camera.internal", "2001:db8::7", "https://[2001:db8::7]/"),
    ],
)
def test_only_port_and_path_of_a_named_service_count(url: str, host: str, expected: str) -> None:
    assert service_at(url, ip_address(host)) == expected


@pytest.mark.parametrize(
    "url", ["", "ftp://192.0.2.9/", "http://", "http://x:99999/", "http://x:y/", "http://[::1/", "http://x/\n", "http://x/\u00e4"]
)  # fmt: skip
def test_what_is_no_address_of_a_service(url: str) -> None:
    with pytest.raises(DeviceFailed):
        service_at(url, IPv4Address("192.0.2.7"))


def test_a_clock_that_is_nonsense_is_ignored() -> None:
    moment = b"<r><UTCDateTime><Time><Hour>%d</Hour><Minute>5</Minute><Second>60</Second></Time><Date><Year>2026</Year><Month>2</Month><Day>%d</Day></Date></UTCDateTime></r>"
    assert utc_of(parse(moment % (23, 28))) == datetime(2026, 2, 28, 23, 5, 59, tzinfo=UTC)
    assert utc_of(parse(moment % (23, 30))) is None
    assert utc_of(parse(moment % (99, 1))) is None
    for year in (b"1", b"9999", b"99999"):  # times near the ends of the calendar cannot be added to
        assert utc_of(parse((moment % (23, 28)).replace(b"2026", year))) is None
    assert utc_of(parse(b"<r><UTCDateTime/></r>")) is None
    assert utc_of(parse(b"<r/>")) is None


async def test_a_device_that_lists_thousands_of_profiles_is_asked_for_some() -> None:
    requests: list[bytes] = []
    service = b"<Service><Namespace>http://www.onvif.org/ver10/media/wsdl</Namespace><XAddr>http://192.0.2.9:%d/m</XAddr></Service>"
    profiles = b"".join(b'<Profiles token="%d"><Name>x</Name></Profiles>' % number for number in range(3000))
    uri = b"<MediaUri><Uri>rtsp://192.0.2.9/x</Uri></MediaUri>"

    async def handle(stream: SocketStream) -> None:
        await answering(*([http("200 OK", EMPTY % bodies[min(len(requests), 3)])]), requests=requests)(stream)

    async with served(handle) as target, client() as device:
        bodies = [b"", service % target.port, profiles, uri]
        found = await profiles_of(device, f"http://192.0.2.9:{target.port}/onvif", LOOPBACK)
    assert len(found) == 64
    assert len(requests) == 3 + 64

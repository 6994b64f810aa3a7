"""Exchanges over RTSP, the same on the embedded server and on a real MediaMTX 1.20 with gortsplib."""

import re
from typing import Any

import anyio
import httpx
import pytest

from agent_core.plugin.rtsp import Interleaved, Response

PUBLIC = "DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, TEARDOWN"
TCP = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
SDP = {"Content-Type": "application/sdp"}
BODY = (
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
)
BODY += b"a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n"
DESCRIPTION = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=control:trackID=0\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1; profile-level-id=42C01F; "
    "sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==\r\n"
)


@pytest.fixture
async def configured(api: httpx.AsyncClient) -> None:
    """Configure a path `cam`, without a publisher."""
    await api.post("/v3/config/paths/add/cam", json={})
    with anyio.fail_after(20):
        while (await api.get("/v3/paths/get/cam")).status_code != 200:
            await anyio.sleep(0.01)


def shown(response: Response) -> dict[str, str]:
    """Return the header fields in order, with random identifiers made equal."""
    text = {"ssrc=[0-9A-F]{8}": "ssrc=X", "[0-9a-f]{32}": "ID"}
    found = {}
    for name, value in response.headers:
        for pattern, placeholder in text.items():
            value = re.sub(pattern, placeholder, value)  # noqa: PLW2901 - both replacements
        found[name] = value
    return found


async def test_options(configured: None, rtsp: Any) -> None:
    async with rtsp() as client:
        for path in ("cam", "nope", "*"):
            response = await client.ask("OPTIONS", path)
            assert (response.status, list(shown(response))) == (200, ["CSeq", "Public", "Server"])
            assert response.headers.get("Public") == PUBLIC
            assert response.headers.get("Server") == "gortsplib"


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "closes"),
    [
        ("DESCRIBE", "cam", {}, b"", 404, True),
        ("DESCRIBE", "nope", {}, b"", 400, True),
        ("DESCRIBE", "bad!name", {}, b"", 400, True),
        ("PLAY", "cam", {}, b"", 501, False),
        ("RECORD", "cam", {}, b"", 501, False),
        ("PAUSE", "cam", {}, b"", 501, False),
        ("TEARDOWN", "cam", {}, b"", 501, False),
        ("GET_PARAMETER", "cam", {}, b"", 501, False),
        ("SET_PARAMETER", "cam", {}, b"", 501, False),
        ("PLAY", "cam", {"Session": "abc"}, b"", 454, True),
        ("TEARDOWN", "cam", {"Session": "abc"}, b"", 454, True),
        ("GET_PARAMETER", "cam", {"Session": "abc"}, b"", 454, True),
        ("ANNOUNCE", "nope", SDP, BODY, 400, True),
        ("ANNOUNCE", "cam/", SDP, BODY, 400, True),
        ("ANNOUNCE", "cam", {}, BODY, 400, True),
        ("ANNOUNCE", "cam", SDP, b"xx\n", 400, True),
        ("SETUP", "cam/trackID=0", TCP, b"", 404, True),
        ("SETUP", "nope/trackID=0", TCP, b"", 400, True),
        ("SETUP", "cam/trackID=0", {}, b"", 400, True),
    ],
)
async def test_refusals(
    configured: None,
    rtsp: Any,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    status: int,
    closes: bool,
) -> None:
    async with rtsp() as client:
        response = await client.ask(method, path, headers, body)
        assert (response.status, shown(response)) == (status, {"CSeq": "1", "Server": "gortsplib"})
        if closes:
            await client.ended()
        else:
            assert (await client.ask("OPTIONS", path)).status == 200


async def test_a_request_without_cseq_is_refused(configured: None, rtsp: Any) -> None:
    async with rtsp() as client:
        await client.send(b"OPTIONS rtsp://127.0.0.1/cam RTSP/1.0\r\n\r\n")
        response = await client.next()
        assert (response.status, shown(response)) == (400, {"Server": "gortsplib"})
        await client.ended()


async def test_an_unknown_method_ends_the_connection(rtsp: Any) -> None:
    async with rtsp() as client:
        await client.send(b"FOO rtsp://127.0.0.1/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n")
        await client.ended()


async def test_udp_is_refused_and_the_session_continues(configured: None, rtsp: Any) -> None:
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        udp = {"Transport": "RTP/AVP;unicast;client_port=5000-5001"}
        response = await client.ask("SETUP", "cam/trackID=0", udp)
        assert (response.status, list(shown(response))) == (461, ["CSeq", "Server", "Session"])
        await client.hold("cam")


async def test_a_publisher(configured: None, rtsp: Any) -> None:
    async with rtsp() as client:
        response = await client.ask("ANNOUNCE", "cam", SDP, BODY)
        assert (response.status, shown(response)) == (200, {"CSeq": "1", "Server": "gortsplib"})
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"}
        response = await client.ask("SETUP", "cam/streamid=0", transport)
        assert (response.status, shown(response)) == (
            200,
            {
                "CSeq": "2",
                "Server": "gortsplib",
                "Session": "ID;timeout=55",
                "Transport": "RTP/AVP/TCP;unicast;interleaved=0-1",
            },
        )
        response = await client.ask("RECORD", "cam")
        assert (response.status, list(shown(response))) == (200, ["CSeq", "Server", "Session"])


async def test_setup_of_a_track_that_was_not_announced(configured: None, rtsp: Any) -> None:
    async with rtsp() as client:
        await client.ask("ANNOUNCE", "cam", SDP, BODY)
        transport = {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"}
        assert (await client.ask("SETUP", "cam/streamid=1", transport)).status == 400
        await client.ended()


@pytest.mark.parametrize("path", ["cam", "cam/"])
async def test_a_description(configured: None, rtsp: Any, path: str) -> None:
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        response = await client.ask("DESCRIBE", path)
        assert response.status == 200
        assert response.body.decode() == DESCRIPTION
        assert shown(response) == {
            "CSeq": "1",
            "Content-Base": f"{client.base}/{path}/",
            "Content-Length": str(len(DESCRIPTION)),
            "Content-Type": "application/sdp",
            "Server": "gortsplib",
        }


async def test_a_reader(configured: None, rtsp: Any) -> None:
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        response = await client.ask("SETUP", "cam/trackID=0", TCP)
        assert shown(response)["Transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=X"
        assert shown(response)["Session"] == "ID;timeout=55"
        response = await client.ask("GET_PARAMETER", "cam")
        assert list(shown(response)) == ["CSeq", "Content-Type", "Server", "Session"]
        assert response.headers.get("Content-Type") == "text/parameters"
        assert "Session" in (await client.ask("OPTIONS", "cam")).headers
        response = await client.ask("PLAY", "cam/")
        assert (response.status, list(shown(response))) == (200, ["CSeq", "RTP-Info", "Server", "Session"])
        assert response.headers.get("RTP-Info") == f"url={client.base}/cam/trackID=0"
        for method in ("PAUSE", "PLAY"):
            assert (await client.ask(method, "cam")).status == 200
        response = await client.ask("TEARDOWN", "cam")
        assert (response.status, list(shown(response))) == (200, ["CSeq", "Server"])
        client.session = ""
        assert (await client.ask("OPTIONS", "cam")).status == 200


@pytest.mark.parametrize(
    ("transport", "given"),
    [
        ("RTP/AVP/TCP;unicast", "0-1"),
        ("RTP/AVP/TCP;unicast;interleaved=1-2", "1-2"),
        ("RTP/AVP/TCP;unicast;interleaved=4-5", "4-5"),
        ("RTP/AVP;unicast;client_port=5000-5001,RTP/AVP/TCP;unicast;interleaved=0-1", "0-1"),
        ("RTP/AVP/TCP;unicast;interleaved=0-2", None),
        ("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record", None),
        ("nonsense", None),
    ],
)
async def test_transports(configured: None, rtsp: Any, transport: str, given: str | None) -> None:
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        response = await client.ask("SETUP", "cam/trackID=0", {"Transport": transport})
        if given is None:
            assert response.status == 400
            await client.ended()
            return
        assert shown(response)["Transport"] == f"RTP/AVP/TCP;unicast;interleaved={given};ssrc=X"
        assert (await client.ask("SETUP", "cam/trackID=0", {"Transport": transport})).status == 400


@pytest.mark.parametrize("path", ["cam/trackID=7", "cam", "cam/trackID=x"])
async def test_setup_of_a_track_that_does_not_exist(configured: None, rtsp: Any, path: str) -> None:
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        assert (await client.ask("SETUP", path, TCP)).status == 400
        await client.ended()


def packet(
    sequence: int, payload: bytes = b"\x65\x88\x84\x00", ssrc: int = 7, timestamp: int = 1000
) -> bytes:
    head = b"\x80\xe0" + sequence.to_bytes(2, "big") + timestamp.to_bytes(4, "big") + ssrc.to_bytes(4, "big")
    return Interleaved(0, head + payload).encode()


async def test_packets_reach_a_reader_under_the_announced_ssrc(configured: None, rtsp: Any) -> None:
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        await client.play("cam")
        for sequence in range(5):
            await publisher.send(packet(100 + sequence))
        with anyio.fail_after(20):
            frames = [await client.packet() for _ in range(5)]
        assert [int.from_bytes(one.payload[2:4], "big") for one in frames] == [100, 101, 102, 103, 104]
        assert {one.payload[12:] for one in frames} == {b"\x65\x88\x84\x00"}
        assert len({one.payload[8:12] for one in frames}) == 1


async def test_play_announces_the_next_packet(configured: None, rtsp: Any) -> None:
    async with rtsp() as publisher, rtsp() as first, rtsp() as second:
        await publisher.publish("cam")
        await first.play("cam")
        await publisher.send(packet(500))
        with anyio.fail_after(20):
            await first.next()
        await second.hold("cam")
        info = (await second.ask("PLAY", "cam")).headers.get("RTP-Info")
        assert re.fullmatch(rf"url={second.base}/cam/trackID=0;seq=501;rtptime=[0-9]+", info)


async def test_credentials(configured: None, api: httpx.AsyncClient, rtsp: Any) -> None:
    users = [
        {"user": "any", "pass": "", "permissions": [{"action": "publish"}, {"action": "api"}]},
        {"user": "view", "pass": "v", "permissions": [{"action": "read", "path": "cam"}]},
    ]
    await api.patch("/v3/config/global/patch", json={"authInternalUsers": users})
    with anyio.fail_after(20):
        while (await api.get("/v3/config/global/get")).json()["authInternalUsers"][-1]["user"] != "view":
            await anyio.sleep(0.01)
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        response = await client.ask("DESCRIBE", "cam")
        assert (response.status, shown(response)) == (
            401,
            {"CSeq": "1", "Server": "gortsplib", "WWW-Authenticate": 'Basic realm="ipcam"'},
        )
        right = {"Authorization": "Basic dmlldzp2"}
        assert (await client.ask("DESCRIBE", "cam", right)).status == 200
        assert (await client.ask("SETUP", "cam/trackID=0", right | TCP)).status == 200
    async with rtsp() as client:
        response = await client.ask("DESCRIBE", "cam", {"Authorization": "Basic dmlldzpiYWQ="})
        assert response.status == 401
        await client.ended()

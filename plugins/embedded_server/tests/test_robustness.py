"""Malformed input, which must not affect other clients."""

import random
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from agent_core.plugin.video import BitstreamError
from agent_core.plugin.video.h264 import parse_sps as parse_h264
from agent_core.plugin.video.h265 import parse_sps as parse_h265

CONVERSATION = (
    b"OPTIONS rtsp://h/cam RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    b"ANNOUNCE rtsp://h/cam RTSP/1.0\r\nCSeq: 2\r\nContent-Type: application/sdp\r\nContent-Length: 172\r\n\r\n"
    b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=No Name\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    b"a=fmtp:96 sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADyPGDKg=,aM4PyA==\r\n"
    b"SETUP rtsp://h/cam/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;interleaved=0-1;mode=record\r\n\r\n"
    b"DESCRIBE rtsp://h/cam RTSP/1.0\r\nCSeq: 4\r\nAuthorization: Basic YTpi\r\n\r\n$\0\0\4abcd"
)
HTTP = (
    b'POST /v3/config/paths/add/c HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n{"record":true}'
    b"GET /v3/paths/list?page=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YTpi\r\n\r\n"
)


@pytest.fixture
async def api(embedded: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=embedded.api_url, timeout=10) as client:
        yield client


def mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randrange(6)):
        place = chance.randrange(len(changed))
        changed[place : place + chance.randrange(4)] = chance.choice(
            (b"", b"\r\n", b"%", chance.randbytes(4))
        )
    return bytes(changed)


@pytest.mark.parametrize(("port", "data"), [("rtsp_port", CONVERSATION), ("api_port", HTTP)])
async def test_random_bytes_end_at_most_their_own_connection(
    embedded: Any, api: httpx.AsyncClient, port: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await api.post("/v3/config/paths/add/cam", json={"record": True})).status_code == 200
    number = getattr(embedded.embedded.endpoints, port)
    chance = random.Random(7)
    for _ in range(150):
        async with await anyio.connect_tcp("127.0.0.1", number) as stream:
            with anyio.move_on_after(0.02):
                try:
                    await stream.send(mutated(data, chance))
                    await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    pass
    assert (await api.get("/v3/info")).status_code == 200
    assert "failed" not in caplog.text


def picture(sequence: int, timestamp: int, nalu: bytes) -> bytes:
    head = b"\x80\xe0" + sequence.to_bytes(2, "big") + timestamp.to_bytes(4, "big") + bytes(4)
    return b"$\0" + (len(head) + len(nalu)).to_bytes(2, "big") + head + nalu


async def test_a_recorder_survives_random_packets(
    embedded: Any, api: httpx.AsyncClient, embedded_rtsp: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await api.post("/v3/config/paths/add/cam", json={"record": True, "recordPartDuration": "10ms"})
    with anyio.fail_after(20):
        while (await api.get("/v3/paths/get/cam")).status_code != 200:
            await anyio.sleep(0.01)
    chance = random.Random(3)
    async with embedded_rtsp() as publisher:
        await publisher.publish("cam")
        for sequence in range(500):
            kind = chance.choice((0x65, 0x41, 0x67, 0x68, 0x7C))
            nalu = bytes([kind]) + chance.randbytes(chance.randrange(1, 30))
            await publisher.send(picture(sequence, chance.randrange(1 << 32), nalu))
        assert (await publisher.ask("OPTIONS", "cam")).status == 200
    with anyio.fail_after(20):
        while (await api.get("/v3/paths/get/cam")).json()["ready"]:
            await anyio.sleep(0.01)
    assert "A task of the embedded media server failed" not in caplog.text


@pytest.mark.parametrize("parse", [parse_h264, parse_h265])
@pytest.mark.parametrize("seed", range(200))
def test_a_random_parameter_set_is_parsed_or_raises_a_bitstream_error(parse: Any, seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(bytes.fromhex("6742c01fda014016ec0440000003004000000f23c60ca8"))
    for _ in range(chance.randrange(8)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        found = parse(bytes(data))
    except BitstreamError:
        return
    assert 0 < found.width <= 32_768
    assert found.level

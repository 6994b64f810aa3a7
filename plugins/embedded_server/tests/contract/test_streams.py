"""Publishing and reading, with real FFmpeg processes."""

from itertools import pairwise
from typing import Any

import anyio
import pytest

from agent_core.plugin.rtsp import Interleaved

pytestmark = pytest.mark.timeout(120)


async def test_a_stream_is_shown(media: Any) -> None:
    await media.add("cam")
    async with media.publishing("cam"):
        path = await media.until("/v3/paths/get/cam", {"available": True, "online": True})
        (session,) = (await media.api.get("/v3/rtspsessions/list")).json()["items"]
        (connection,) = (await media.api.get("/v3/rtspconns/list")).json()["items"]
    assert path["source"] == {"type": "rtspSession", "id": session["id"]}
    assert path["tracks"] == ["H264"]
    properties = path["tracks2"][0]["codecProps"]
    assert path["tracks2"][0]["codec"] == "H264"
    assert (properties["width"], properties["height"], properties["profile"]) == (320, 240, "Baseline")
    assert path["readers"] == []
    assert (session["state"], session["path"], session["transport"], session["profile"]) == (
        *("publish", "cam", "TCP", "AVP"),
    )
    assert session["conns"] == [connection["id"]]
    assert connection["session"] == session["id"]
    assert session["userAgent"].startswith("Lavf")
    assert list(session)[:12] == [
        *(
            "id",
            "created",
            "remoteAddr",
            "state",
            "path",
            "query",
            "user",
            "userAgent",
            "transport",
            "profile",
        ),
        *("conns", "inboundBytes"),
    ]
    assert len(session) == 33
    assert list(connection) == [
        *("id", "created", "remoteAddr", "session", "tunnel"),
        *("inboundBytes", "outboundBytes", "bytesReceived", "bytesSent"),
    ]


async def test_ffmpeg_reads_and_two_readers_see_every_packet(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with media.publishing("cam", 30), rtsp() as first, rtsp() as second:
        await first.play("cam")
        await second.play("cam")
        seen = await media.packets(f"{media.server.rtsp_url}/cam", "-rtsp_transport", "tcp", "-t", "1")
        assert len(seen) > 10
        sequences = []
        for client in (first, second):
            with anyio.fail_after(10):
                found = [await client.packet() for _ in range(60)]
            sequences.append([int.from_bytes(one.payload[2:4], "big") for one in found])
        with anyio.fail_after(10):  # until FFmpeg's session has ended
            path = await media.until("/v3/paths/get/cam", {"ready": True})
            while len(path["readers"]) != 2:
                path = await media.until("/v3/paths/get/cam", {"ready": True})
        assert path["bytesSent"] > path["bytesReceived"]
    for numbers in sequences:
        steps = {(after - before) & 0xFFFF for before, after in pairwise(numbers)}
        assert steps == {1}


async def test_ffmpeg_falls_back_from_udp(media: Any) -> None:
    await media.add("cam")
    async with media.publishing("cam"):
        assert len(await media.packets(f"{media.server.rtsp_url}/cam", "-t", "1")) > 3


async def test_a_change_that_is_not_hot_ends_reader_and_publisher(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        await client.play("cam")
        await media.patch("cam", maxReaders=0)
        await media.patch("cam", recordSegmentDuration="2h")
        assert (await client.ask("OPTIONS", "cam")).status == 200
        await media.patch("cam", maxReaders=1)
        await client.ended()
        await publisher.ended()
    await media.until("/v3/paths/get/cam", {"ready": False})


async def test_a_change_of_one_path_does_not_affect_another(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with rtsp() as publisher, rtsp() as client:
        await publisher.publish("cam")
        await client.play("cam")
        await media.add("other")
        await media.patch("other", maxReaders=3)
        assert (await media.api.delete("/v3/config/paths/delete/other")).status_code == 200
        assert (await client.ask("OPTIONS", "cam")).status == 200


async def test_a_second_publisher_replaces_the_first(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with rtsp() as first, rtsp() as second, rtsp() as reader:
        await first.publish("cam")
        await reader.play("cam")
        await second.publish("cam")
        await first.ended()
        await reader.ended()
        assert (await second.ask("OPTIONS", "cam")).status == 200
        await media.until("/v3/paths/get/cam", {"ready": True})


async def test_a_second_publisher_is_refused_where_configured(media: Any, rtsp: Any) -> None:
    await media.add("cam", overridePublisher=False)
    async with rtsp() as first, rtsp() as second:
        await first.publish("cam")
        with pytest.raises(AssertionError):
            await second.publish("cam")
        assert (await first.ask("OPTIONS", "cam")).status == 200


async def test_too_many_readers(media: Any, rtsp: Any) -> None:
    await media.add("cam", maxReaders=1)
    async with rtsp() as publisher, rtsp() as first, rtsp() as second:
        await publisher.publish("cam")
        await first.hold("cam")
        response = await second.ask(
            "SETUP", "cam/trackID=0", {"Transport": "RTP/AVP/TCP;unicast;interleaved=0-1"}
        )
        assert response.status == 400


async def test_a_session_is_kicked(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with rtsp() as publisher:
        await publisher.publish("cam")
        path = await media.until("/v3/paths/get/cam", {"ready": True})
        session = path["source"]["id"]
        assert (await media.api.get(f"/v3/rtspsessions/get/{session}")).json()["state"] == "publish"
        response = await media.api.post(f"/v3/rtspsessions/kick/{session}")
        assert (response.status_code, response.text) == (200, '{"status":"ok"}')
        await publisher.ended()
    await media.until("/v3/paths/get/cam", {"ready": False})


async def test_a_source_is_pulled(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with media.publishing("cam"):
        await media.add("pulled", source=f"{media.server.rtsp_url}/cam", rtspTransport="tcp")
        path = await media.until("/v3/paths/get/pulled", {"ready": True})
        assert path["source"] == {"type": "rtspSource", "id": ""}
        assert path["tracks"] == ["H264"]
        async with rtsp() as client:
            await client.play("pulled")
            with anyio.fail_after(10):
                assert isinstance(await client.packet(), Interleaved)
    await media.until("/v3/paths/get/pulled", {"ready": False})


async def test_paths_of_a_pattern_exist_while_they_are_used(media: Any, rtsp: Any) -> None:
    assert (await media.api.post("/v3/config/paths/add/~%5Ecam(%5Cd%2B)$", json={})).status_code == 200
    async with rtsp() as publisher:
        with anyio.fail_after(20):
            while (await media.api.get("/v3/config/paths/list")).json()["itemCount"] == 0:
                await anyio.sleep(0.01)
        await publisher.publish("cam7")
        path = await media.until("/v3/paths/get/cam7", {"ready": True})
        assert path["confName"] == "~^cam(\\d+)$"
    with anyio.fail_after(20):
        while (await media.api.get("/v3/paths/get/cam7")).status_code != 404:
            await anyio.sleep(0.01)


async def test_sessions_of_every_kind(media: Any, rtsp: Any) -> None:
    await media.add("cam")
    async with rtsp() as publisher, rtsp() as holder, rtsp() as reader, rtsp() as refused:
        await publisher.publish("cam")
        await holder.hold("cam")
        await reader.play("cam")
        udp = {"Transport": "RTP/AVP;unicast;client_port=5000-5001"}
        assert (await refused.ask("SETUP", "cam/trackID=0", udp)).status == 461
        sessions = (await media.api.get("/v3/rtspsessions/list")).json()["items"]
        readers = (await media.api.get("/v3/paths/get/cam")).json()["readers"]
    assert [(one["state"], one["path"], one["transport"], one["profile"]) for one in sessions] == [
        ("publish", "cam", "TCP", "AVP"),
        ("idle", "cam", "TCP", "AVP"),
        ("read", "cam", "TCP", "AVP"),
        ("idle", "", None, None),
    ]
    assert sorted(one["id"] for one in readers) == sorted(one["id"] for one in sessions[1:3])
    assert sessions[1]["outboundRTPPackets"] == 0

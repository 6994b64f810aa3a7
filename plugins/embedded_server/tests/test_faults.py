"""Effects of the fault switches."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest


@pytest.fixture
async def api(embedded: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=embedded.api_url, timeout=10) as client:
        yield client


async def added(api: httpx.AsyncClient, path: str, **options: Any) -> None:
    assert (await api.post(f"/v3/config/paths/add/{path}", json=options)).status_code == 200
    with anyio.fail_after(20):
        while (await api.get(f"/v3/paths/get/{path}")).status_code != 200:
            await anyio.sleep(0.005)


async def test_a_slow_apply_shows_the_old_state_for_a_while(embedded: Any, api: httpx.AsyncClient) -> None:
    embedded.embedded.faults.apply_delay_s = 0.5
    assert (await api.post("/v3/config/paths/add/cam", json={})).status_code == 200
    assert (await api.get("/v3/config/paths/get/cam")).status_code == 404
    assert (await api.post("/v3/config/paths/add/cam", json={})).status_code == 400, "writes see each other"
    assert (await api.get("/v3/config/paths/get/cam")).status_code == 200


async def test_dropped_publishers(embedded: Any, api: httpx.AsyncClient, embedded_rtsp: Any) -> None:
    await added(api, "cam")
    async with embedded_rtsp() as publisher, embedded_rtsp() as reader:
        await publisher.publish("cam")
        await reader.hold("cam")
        embedded.embedded.drop_publishers()
        await publisher.ended()
        await reader.ended()
    assert not (await api.get("/v3/paths/get/cam")).json()["ready"]


async def test_forgotten_paths(embedded: Any, api: httpx.AsyncClient, embedded_rtsp: Any) -> None:
    started = (await api.get("/v3/info")).json()["started"]
    await added(api, "cam")
    async with embedded_rtsp() as publisher, embedded_rtsp() as reader:
        await publisher.publish("cam")
        await reader.hold("cam")
        embedded.embedded.forget_paths()
        await publisher.ended()
        await reader.ended()
    assert (await api.get("/v3/config/paths/list")).json()["itemCount"] == 0
    assert (await api.get("/v3/info")).json()["started"] == started


async def test_a_muted_server_answers_nothing_until_it_is_unmuted(
    embedded: Any, api: httpx.AsyncClient, embedded_rtsp: Any
) -> None:
    await added(api, "cam")
    async with embedded_rtsp() as client:
        embedded.embedded.faults.mute()
        assert embedded.embedded.faults.muted
        with pytest.raises(httpx.ReadTimeout):
            await api.get("/v3/info", timeout=0.2)
        with pytest.raises(TimeoutError), anyio.fail_after(0.2):
            await client.ask("OPTIONS", "cam")
        embedded.embedded.faults.unmute()
        assert (await api.get("/v3/info")).status_code == 200
        assert (await client.ask("OPTIONS", "cam")).status == 200


def key_picture(sequence: int) -> bytes:
    """Return a packet that a recorder takes for a complete key frame."""
    timestamp = (sequence * 3000).to_bytes(4, "big")
    payload = b"\x80\xe0" + sequence.to_bytes(2, "big") + timestamp + b"\0\0\0\7" + b"\x65\x88\x84\x00"
    return b"$\0" + len(payload).to_bytes(2, "big") + payload


async def send_pictures(publisher: Any, first: int, count: int) -> None:
    for sequence in range(first, first + count):
        await publisher.send(key_picture(sequence))


async def test_a_recording_resumes_when_the_disk_accepts_data_again(
    embedded: Any, api: httpx.AsyncClient, embedded_rtsp: Any
) -> None:
    embedded.embedded.faults.write_nothing = True
    await added(api, "cam", record=True, recordPartDuration="100ms")
    async with embedded_rtsp() as publisher:
        await publisher.publish("cam")
        await send_pictures(publisher, 0, 10)
        await anyio.sleep(0.3)
        path = (await api.get("/v3/paths/get/cam")).json()
        assert path["ready"], "nothing shows that nothing is written"
        assert list(embedded.recordings.rglob("*.mp4")) == []
        embedded.embedded.faults.write_nothing = False
        sequence = 10
        with anyio.fail_after(10):
            while not list(embedded.recordings.rglob("*.mp4")):
                await send_pictures(publisher, sequence, 10)
                sequence += 10
                await anyio.sleep(0.1)


async def test_an_unwritable_folder_is_tried_again(
    embedded: Any, api: httpx.AsyncClient, embedded_rtsp: Any, caplog: pytest.LogCaptureFixture
) -> None:
    embedded.recordings.mkdir()
    blocked = embedded.recordings / "cam"
    blocked.write_text("a file where a folder should be")
    await added(api, "cam", record=True, recordPartDuration="100ms")
    async with embedded_rtsp() as publisher:
        await publisher.publish("cam")
        await send_pictures(publisher, 0, 10)
        with anyio.fail_after(10):
            while "[recorder]" not in caplog.text:
                await anyio.sleep(0.01)
        blocked.unlink()
        sequence = 10
        with anyio.fail_after(10):
            while not list(embedded.recordings.rglob("*.mp4")):
                await send_pictures(publisher, sequence, 10)
                sequence += 10
                await anyio.sleep(0.1)
    assert str(embedded.recordings) not in caplog.text

"""Independence of readers."""

from typing import Any

import anyio
import httpx


def packet(sequence: int) -> bytes:
    payload = b"\x80\x60" + sequence.to_bytes(2, "big") + bytes(8) + b"\x41" + bytes(1400)
    return b"$\0" + len(payload).to_bytes(2, "big") + payload


async def test_a_stalled_reader_does_not_affect_others(embedded: Any, embedded_rtsp: Any) -> None:
    async with httpx.AsyncClient(base_url=embedded.api_url, timeout=30) as api:
        await api.post("/v3/config/paths/add/cam", json={})
        async with embedded_rtsp() as publisher, embedded_rtsp() as stalled, embedded_rtsp() as reader:
            with anyio.fail_after(20):
                while (await api.get("/v3/paths/get/cam")).status_code != 200:
                    await anyio.sleep(0.01)
            await publisher.publish("cam")
            await stalled.play("cam")
            await reader.play("cam")
            discarded = [0, 0, 0]
            # Fewer are enough, and the server closes the stalled reader after 10 s.
            for sequence in range(32_000):
                await publisher.send(packet(sequence))
                found = await reader.packet()
                assert int.from_bytes(found.payload[2:4], "big") == sequence
                if sequence % 500 == 0:
                    sessions = (await api.get("/v3/rtspsessions/list")).json()["items"]
                    discarded = sorted(one["outboundRTPPacketsDiscarded"] for one in sessions)
                    if discarded[-1]:
                        break
    assert discarded[:2] == [0, 0]
    assert discarded[2] > 0

"""Kept messages of a hostile broker, whose topics the bridge would have to clear."""

from pathlib import Path

import anyio
import pytest

from mqtt_bridge.broker.filters import matches

from .boxes import HurriedClock, running_box
from .hostile import (
    CONNECT,
    PUBLISH,
    SUBSCRIBE,
    Conversation,
    connack,
    hostile_broker,
    puback,
    publish,
    suback,
)

ROOT = "camera-agent/box"


@pytest.mark.parametrize("topic", ["a/+", "a/b#", "#", "a/\0", "a/b/+/c"])
def test_what_cannot_be_a_topic_matches_nothing(topic: str) -> None:
    assert not matches("a/#", topic)
    assert not matches("#", topic)
    assert not matches("a/+", topic)


async def test_topics_that_cannot_be_cleared_end_nothing_and_the_others_are_cleared(tmp_path: Path) -> None:
    odd = [f"{ROOT}/{each}" for each in ("state/+", "state/#", "state/x/#", "pictures/+", "pictures/#")]
    gone = [f"{ROOT}/pictures/camera7", f"{ROOT}/state/cameras/camera7"]
    cleared, all_cleared = set[str](), anyio.Event()

    async def script(client: Conversation) -> None:
        await client.read_kind(CONNECT)
        await client.send(connack())
        body = await client.read_kind(SUBSCRIBE)
        kept = [publish(topic, b"old", retain=True) for topic in (*odd, *gone)]
        await client.send(suback(int.from_bytes(body[:2]), b"\1" * body.count(b"camera-agent/")), *kept)
        while True:
            first, body = await client.read()
            length = int.from_bytes(body[:2])
            if first >> 4 == PUBLISH and first & 6:
                number = int.from_bytes(body[2 + length : 4 + length])
                await client.send(puback(number))
                if body[4 + length :] == b"\0":  # no properties, and no payload
                    cleared.add(body[2 : 2 + length].decode())
            if cleared >= set(gone):
                all_cleared.set()

    async with hostile_broker(script) as broker:
        async with running_box(tmp_path / "box", HurriedClock(100), url=broker.url):
            with anyio.fail_after(20):
                await all_cleared.wait()
        assert broker.clients == 1
    assert cleared == set(gone)

"""Connection at a real Mosquitto."""

import socket
from pathlib import Path

import pytest

from mqtt_bridge.broker.client import BrokerClient, ClientOptions
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.settings import MqttBridgeSettings

from .bridges import ScriptedPart, running_bridge, with_parts
from .hostile import connack
from .mosquitto import running_mosquitto, watching


async def test_retained_state_then_birth_then_changes_then_a_farewell(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "camera-agent/#") as seen:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)) as running:
            retained, topics = running.bridge.retained, running.bridge.topics
            retained.set(topics.agent_state, Outgoing(topics.agent_state, b"1"))
            await seen.until(lambda: seen.last(topics.status) == b"online")
            assert [each.topic.value for each in seen.messages] == [topics.agent_state, topics.status]
            assert running.bridge.status.is_connected
            retained.set(topics.camera("camera1"), Outgoing("", b"there"))
            await seen.until(lambda: seen.last(topics.camera("camera1")) == b"there")
            retained.clear(topics.camera("camera1"))
            await seen.until(lambda: seen.last(topics.camera("camera1")) == b"")
        await seen.until(lambda: seen.last(topics.status) == b"offline")
        async with watching(broker, "camera-agent/#") as later:
            await later.until(lambda: len(later.messages) >= 2)
            kept = {each.topic.value: (each.payload, each.retain) for each in later.messages}
    assert kept == {topics.status: (b"offline", True), topics.agent_state: (b"1", True)}


async def test_messages_arrive_with_their_properties(tmp_path: Path) -> None:
    part = ScriptedPart("camera-agent/box/call")
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "answers/#") as seen:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)):
            connection = await part.wait_online()
            question = Outgoing(
                "answers/1",
                b"{}",
                content_type="application/json",
                properties={"one": "1", "two": "zwei, ü"},
                expiry_s=5,
                correlation=b"\x00\xff",
                response_topic="camera-agent/replies/me",
            )
            await connection.publish(question)
            await seen.until(lambda: len(seen.messages) == 1)
            received = seen.messages[0].properties
            await seen.client.publish("camera-agent/box/call", b"back", qos=1, properties=received)
            (message,) = await part.wait_messages(1)
    assert message.payload == b"back"
    assert not message.retained
    assert message.properties == {"one": "1", "two": "zwei, ü"}
    assert message.correlation == b"\x00\xff"
    assert message.response_topic == "camera-agent/replies/me"
    assert message.content_type == "application/json"


async def test_other_settings_take_the_bridge_to_another_broker_with_a_farewell(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "one") as one, running_mosquitto(tmp_path / "two") as two:
        async with watching(one, "#") as seen, watching(two, "#") as other:
            async with running_bridge(tmp_path / "state", url=one.url, parts=with_parts(part)) as running:
                await seen.until(lambda: seen.last("camera-agent/box/status") == b"online")
                running.component.configure(MqttBridgeSettings(agent_id="box", url=two.url))
                await seen.until(lambda: seen.last("camera-agent/box/status") == b"offline")
                await other.until(lambda: other.last("camera-agent/box/status") == b"online")
                running.component.configure(MqttBridgeSettings(agent_id="box", url=two.url))
                await part.wait_online(2)
                assert part.connections == 2


@pytest.mark.parametrize(("asked_s", "kept_s"), [(None, 600), (200, 200), (900, 600)])
async def test_a_quiet_connection_wakes_once_per_keep_alive(asked_s: int | None, kept_s: int) -> None:
    raw, broker = socket.socketpair()
    raw.setblocking(False)
    client = BrokerClient(raw, ClientOptions("box", 600, 8192, None), lambda _: None)
    try:
        broker.sendall(connack(properties=b"" if asked_s is None else b"\x13" + asked_s.to_bytes(2)))
        await client.open()
        assert kept_s - 100 < client._quiet_s_left() <= kept_s
    finally:
        client.close()
        broker.close()

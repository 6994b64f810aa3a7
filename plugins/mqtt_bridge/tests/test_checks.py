"""Check of `camera-agent doctor`."""

from pathlib import Path
from typing import Any

import pytest

from agent_core.plugin import FindingStatus
from agent_core.testing.mediamtx import free_ports
from mqtt_bridge.checks import BrokerCheck
from mqtt_bridge.plugin import MqttBridgePlugin
from mqtt_bridge.settings import MqttBridgeSettings

from .bridges import ScriptedPart, running_bridge, with_parts
from .hostile import Conversation, hostile_broker
from .mosquitto import Certificates, running_mosquitto, watching

OK, WARNING, FAILED = FindingStatus.OK, FindingStatus.WARNING, FindingStatus.FAILED


async def look(answer_s: float = 8.0, **settings: Any) -> list[tuple[FindingStatus, str, str]]:
    check = BrokerCheck(MqttBridgeSettings.model_validate(settings), answer_s=answer_s)
    return [(each.status, each.detail, each.suggestion) for each in await check.look()]


async def test_without_a_broker_nothing_is_said() -> None:
    assert MqttBridgePlugin(MqttBridgeSettings()).agent_checks() == []
    assert await look() == [(OK, "No MQTT broker is configured, so the bridge is off.", "")]


async def test_a_running_agent_keeps_its_connection(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "#") as seen:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)) as running:
            await seen.until(lambda: seen.last(running.bridge.topics.status) == b"online")
            assert await look(url=broker.url, agent_id="box") == [
                (OK, f"{broker.url} accepts the agent.", ""),
                (OK, "The agent may read and write below camera-agent/box.", ""),
            ]
            assert running.bridge.status.is_connected
            assert part.connections == 1
        await seen.until(lambda: seen.last(running.bridge.topics.status) == b"offline")
        assert not any(each.retain and each.topic.value.endswith("doctor") for each in seen.messages)


async def test_topics_that_the_broker_refuses_are_named(tmp_path: Path) -> None:
    acl = "topic read camera-agent/#\n"
    async with running_mosquitto(tmp_path / "broker", acl=acl) as broker:
        _, (status, detail, suggestion) = await look(url=broker.url, agent_id="box")
    assert status is FAILED
    assert detail.startswith(
        "The agent may not write the topic camera-agent/box/doctor: the broker does not authorise it"
    )
    assert "below camera-agent/box/" in suggestion


async def test_topics_that_the_broker_keeps_from_the_agent_are_told(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker", acl="topic write camera-agent/#\n") as broker:
        _, (status, detail, suggestion) = await look(url=broker.url, agent_id="box")
    assert (status, "does not send what is published below camera-agent/box" in detail) == (WARNING, True)
    assert "below camera-agent/box/" in suggestion


async def test_a_certificate_of_another_time_leads_to_the_clock(tmp_path: Path) -> None:
    made = Certificates.make(tmp_path / "tls", server_days=-1)
    async with running_mosquitto(tmp_path / "broker", tls=made) as broker:
        url = f"mqtts://localhost:{broker.port}"
        ((status, detail, suggestion),) = await look(url=url, tls={"ca_file": str(made.ca)})
    assert (status, "certificate has expired" in detail) == (FAILED, True)
    assert "clock of this host" in suggestion


async def test_a_broker_that_is_away_is_a_warning() -> None:
    ((status, detail, suggestion),) = await look(url=f"mqtt://127.0.0.1:{free_ports()[0]}")
    assert status is WARNING
    assert "cannot be reached: Connection refused" in detail
    assert suggestion


async def test_a_broker_that_says_nothing_is_a_warning() -> None:
    async def script(client: Conversation) -> None:
        while True:
            await client.read()

    async with hostile_broker(script) as broker:
        ((status, detail, _),) = await look(answer_s=0.3, url=broker.url)
    assert status is WARNING
    assert "has not answered within 0.3 s" in detail


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        ("wrong", 0o600, "refuses the connection"),
        ("correct horse", 0o604, "can be read or written by all accounts"),
        ("\n", 0o600, "has no password on its first line"),
        (None, 0o600, "cannot be read: no such file or directory"),
    ],
)
async def test_wrong_credentials_are_failures(
    tmp_path: Path, content: str | None, mode: int, told: str
) -> None:
    password = tmp_path / "password"
    if content is not None:
        password.write_text(content)
        password.chmod(mode)
    async with running_mosquitto(tmp_path / "broker", users={"box": "correct horse"}) as broker:
        ((status, detail, suggestion),) = await look(url=broker.url, user="box", password_file=password)
    assert status is FAILED
    assert told in detail
    assert suggestion

"""Settings, the address of the broker, and the agent's id."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from agent_core.plugin import AgentError
from mqtt_bridge.broker.address import BrokerAddress
from mqtt_bridge.identity import kept_agent_id
from mqtt_bridge.settings import MqttBridgeSettings


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://broker", BrokerAddress("broker", 1883, tls=False)),
        ("mqtts://broker.example/", BrokerAddress("broker.example", 8883, tls=True)),
        ("MQTT://Broker:1884", BrokerAddress("broker", 1884, tls=False)),
        ("mqtt://[2001:db8::1]", BrokerAddress("2001:db8::1", 1883, tls=False)),
        ("mqtts://[fe80::1%25eth0]:1", BrokerAddress("fe80::1%eth0", 1, tls=True)),
        ("mqtt://192.0.2.1:65535", BrokerAddress("192.0.2.1", 65535, tls=False)),
    ],
)
def test_addresses(url: str, address: BrokerAddress) -> None:
    assert BrokerAddress.parse(url) == address


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("broker:1883", "does not begin with mqtt://"),
        ("http://broker", "does not begin with mqtt://"),
        ("wss://broker", "over WebSockets is not supported"),
        ("mqtt://", "names no host"),
        ("mqtt://:1883", "names no host"),
        ("mqtt://two words", "names no host"),
        ("mqtt://broker:port", "no valid host or port"),
        ("mqtt://broker:70000", "no valid host or port"),
        ("mqtt://broker:0", "the port 0"),
        ("mqtt://[2001:db8::1", "put IPv6 addresses in brackets"),
        ("mqtt://2001:db8::1", "no valid host or port"),
        ("mqtt://user:hunter2@broker", "use user and password_file"),
        ("mqtt://broker/hunter2", "more than a host and a port"),
        ("mqtt://broker?password=hunter2", "more than a host and a port"),
    ],
)
def test_wrong_addresses_are_explained_without_being_repeated(url: str, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MqttBridgeSettings(url=url)
    assert told in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"password_file": "/x"}, "password_file needs user"),
        ({"url": "mqtt://b", "tls": {"ca_file": "/x"}}, "need a url that begins with mqtts://"),
        ({"tls": {"key_file": "/x"}}, "together, or neither"),
        ({"agent_id": "a/b"}, "agent_id"),
        ({"agent_id": "a+"}, "agent_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": "replies"}, "below whose topic clients receive replies"),
        ({"prefix": "a//b"}, "prefix"),
        ({"prefix": "/a"}, "prefix"),
        ({"prefix": "$share/a"}, "prefix"),
        ({"prefix": "a/#"}, "prefix"),
        ({"labels": {"a b": "c"}}, "labels"),
        ({"labels": {"a": "b\n"}}, "labels"),
        ({"keep_alive_s": 0}, "keep_alive_s"),
        ({"password": "x"}, "password"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        MqttBridgeSettings.model_validate(settings)


def test_the_id_is_made_once_from_the_host_name(tmp_path: Path) -> None:
    first = kept_agent_id(tmp_path, hostname="Kitchen_Pi.local")
    assert first.startswith("kitchen-pi-")
    assert len(first) == len("kitchen-pi-") + 10
    assert kept_agent_id(tmp_path, hostname="other") == first
    (tmp_path / "two").mkdir()
    assert kept_agent_id(tmp_path / "two", hostname="Kitchen_Pi.local") != first


@pytest.mark.parametrize("hostname", ["", "...", "日本", "-" * 300, "x" * 300])
def test_any_host_name_gives_a_valid_id(tmp_path: Path, hostname: str) -> None:
    MqttBridgeSettings(agent_id=kept_agent_id(tmp_path, hostname=hostname))


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"id": "a/b"}', b'{"id": 1}', b'{"id": ""}', b"\xff"]
)
def test_a_damaged_file_is_not_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mqtt_bridge_agent.json"
    path.write_bytes(content)
    with pytest.raises(AgentError, match="is damaged") as caught:
        kept_agent_id(tmp_path)
    assert "agent_id" in (caught.value.suggestion or "")
    assert path.read_bytes() == content


def test_a_file_of_a_later_version_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "mqtt_bridge_agent.json"
    path.write_text(json.dumps({"version": 2, "id": "box"}))
    with pytest.raises(AgentError, match="later version"):
        kept_agent_id(tmp_path)

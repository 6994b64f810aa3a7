"""A plugin's context: it publishes the plugin's own topics and nothing else."""

from dataclasses import dataclass

import pytest
from pydantic import BaseModel, Field

from agent_core.base.errors import PluginError
from agent_core.base.events import EventBus
from agent_core.plugin_host.context import PluginEvents, checked_payload


@dataclass(frozen=True)
class Waved:
    hands: int


async def test_a_declared_topic_reaches_the_bus() -> None:
    bus = EventBus()
    with bus.subscribe(lambda _event: True) as events:
        PluginEvents(bus, "hello", ("hello.waved",)).publish("hello.waved", Waved(2))
        assert (await events.receive()).payload == Waved(2)


class Named(BaseModel):
    device: str


@dataclass(frozen=True)
class Computed:
    hands: int

    @property
    def device(self) -> str:
        raise AssertionError("not a field, so not what filters compare")


@pytest.mark.parametrize(
    ("payload", "camera"),
    [
        ({"device": "camera0"}, "camera0"),
        (Named(device="camera0"), "camera0"),
        ({"device": 7}, None),
        (Waved(2), None),
        (Computed(2), None),
    ],
)
async def test_the_device_of_a_payload_is_what_filters_compare(payload: object, camera: str | None) -> None:
    bus = EventBus()
    with bus.subscribe(lambda _event: True) as events:
        PluginEvents(bus, "hello", ("hello.waved",)).publish("hello.waved", payload)
        assert (await events.receive()).camera == camera


async def test_a_payload_can_be_used_again_before_it_is_delivered() -> None:
    bus = EventBus()
    fields, model = {"device": "camera0"}, Named(device="camera0")
    with bus.subscribe(lambda _event: True) as events:
        for payload in (fields, model):
            PluginEvents(bus, "hello", ("hello.waved",)).publish("hello.waved", payload)
        fields["device"] = model.device = "camera1"
        assert (await events.receive()).payload == {"device": "camera0"}
        assert (await events.receive()).payload == Named(device="camera0")


@pytest.mark.parametrize("topic", ["hello.nodded", "camera.connected", "other.waved", ""])
def test_any_other_topic_is_an_error_to_the_plugin(topic: str) -> None:
    bus = EventBus()
    with bus.subscribe(lambda _event: True) as events:
        with pytest.raises(PluginError, match="does not declare") as caught:
            PluginEvents(bus, "hello", ("hello.waved",)).publish(topic, Waved(2))
        assert events.oldest is None
    assert caught.value.reason == "undeclared_topic"
    assert "hello.waved" in caught.value.suggestion


@pytest.mark.parametrize("payload", [None, "text", 3, ["a"], Waved])
def test_a_payload_without_fields_is_an_error_to_the_plugin(payload: object) -> None:
    with pytest.raises(PluginError) as caught:
        checked_payload("hello.waved", payload)
    assert caught.value.reason == "wrong_payload"


class Numbered(BaseModel):
    sequence: int = 1


class Renamed(BaseModel):
    number: int = Field(1, serialization_alias="sequence")


@dataclass(frozen=True)
class Counted:
    sequence: int = 1


@pytest.mark.parametrize("payload", [{"sequence": 1}, Numbered(), Renamed(), Counted()], ids=repr)
def test_a_payload_with_the_agents_own_field_is_an_error_to_the_plugin(payload: object) -> None:
    with pytest.raises(PluginError, match="sequence") as caught:
        checked_payload("hello.waved", payload)
    assert caught.value.reason == "wrong_payload"

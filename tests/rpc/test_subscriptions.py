from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from agent_core.base.errors import PluginError
from agent_core.base.events import Event
from agent_core.rpc.topics import CORE_TOPICS, EventForms

if TYPE_CHECKING:
    from tests.toy_server import Peer, Toy


@pytest.fixture
def forms() -> EventForms:
    return EventForms()


async def subscribed(toy: "Toy", peer: "Peer", *topics: str, device: str | None = None) -> None:
    await peer.call("authenticate", auth_token=toy.token())
    filters = {"filters": {"device": device}} if device else {}
    assert await peer.result("subscribe_events", topics=list(topics), **filters) == {
        "subscribed": True,
        "topics": list(topics),
        "filters": {"device": device} if device else {},
    }


async def test_only_subscribers_hear_in_order(toy: "Toy") -> None:
    async with toy.peer() as peer, toy.peer() as other:
        await subscribed(toy, peer, "camera.connected", "camera.disconnected")
        await subscribed(toy, other, "camera.disconnected")
        for topic in ("camera.connected", "camera.disconnected", "camera.connected"):
            toy.bus.publish(topic, {"device": "camera0"})
        heard = [(await peer.receive())["method"] for _ in range(3)]
        assert heard == ["camera.connected", "camera.disconnected", "camera.connected"]
        assert await other.receive() == {
            "jsonrpc": "2.0",
            "method": "camera.disconnected",
            "params": {"device": "camera0"},
        }
        assert await other.result("ping") == "pong"


async def test_one_event_feeds_its_aliases(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera_status_update", "camera.connected")
        toy.bus.publish("camera.connected", {"device": "camera0"})
        toy.bus.publish("camera.disconnected", {"device": "camera0"})
        methods = [(await peer.receive())["method"] for _ in range(3)]
        assert methods == ["camera.connected", "camera_status_update", "camera_status_update"]


async def test_a_filter_is_about_cameras(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera.connected", "system.health", device="camera1")
        toy.bus.publish("camera.connected", {"device": "camera0"})
        toy.bus.publish("camera.connected", {"device": "camera1"})
        toy.bus.publish("system.health", {"status": "HEALTHY"})
        assert (await peer.receive())["params"] == {"device": "camera1"}
        assert (await peer.receive())["params"] == {"status": "HEALTHY"}
        await subscribed(toy, peer, "camera.connected")
        toy.bus.publish("camera.connected", {"device": "camera0"})
        assert (await peer.receive())["params"] == {"device": "camera0"}


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({}, "topics"),
        ({"topics": []}, "topics"),
        ({"topics": "camera.connected"}, "topics"),
        ({"topics": ["camera.connectd"]}, "topics"),
        ({"topics": ["a"] * 101}, "topics"),
        ({"topics": ["camera.connected"], "filters": {"device": "nope"}}, "filters.device"),
        ({"topics": ["camera.connected"], "filters": {"camera": "camera0"}}, "filters.camera"),
    ],
)
async def test_what_cannot_be_subscribed_to(toy: "Toy", params: dict[str, object], param: str) -> None:
    async with toy.peer() as peer:
        await peer.call("authenticate", auth_token=toy.token())
        error = await peer.error("subscribe_events", **params)
        assert (error["code"], error["data"]["param"]) == (-32602, param)
        assert (await peer.result("get_subscription_stats"))["client_topics"] == []


async def test_an_unknown_topic_is_told_what_there_is(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await peer.call("authenticate", auth_token=toy.token())
        data = (await peer.error("unsubscribe_events", topics=["camera.connectd"]))["data"]
        assert "'camera.connected'" in data["hint"]
        assert all(topic.name in data["details"] for topic in CORE_TOPICS)
        assert "recording.started" in data["details"]


async def test_unsubscribing_some_and_all(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await subscribed(
            toy, peer, "camera.connected", "recording.started", "recording.start", "snapshot.taken"
        )
        stats = await peer.result("get_subscription_stats")
        assert stats["client_topics"] == ["camera.connected", "recording.start", "snapshot.taken"]
        gone = await peer.result("unsubscribe_events", topics=["recording.started", "system.health"])
        assert gone == {"unsubscribed": True, "topics": ["recording.start"]}
        assert (await peer.result("unsubscribe_events"))["topics"] == ["camera.connected", "snapshot.taken"]
        assert (await peer.result("unsubscribe_events"))["topics"] == []


async def test_stats_count_all_connections(toy: "Toy") -> None:
    async with toy.peer() as one, toy.peer() as two, toy.peer():
        await subscribed(toy, one, "camera.connected", "snapshot.taken")
        await subscribed(toy, two, "camera.connected")
        stats = await two.result("get_subscription_stats")
        assert stats["global_stats"] == {
            "total_subscriptions": 3,
            "active_clients": 2,
            "topic_counts": {"camera.connected": 2, "snapshot.taken": 1},
        }
        assert stats["client_topics"] == ["camera.connected"]
        assert stats["client_id"] != (await one.result("get_subscription_stats"))["client_id"]


async def test_subscribing_needs_a_viewer(toy: "Toy") -> None:
    async with toy.peer() as peer:
        assert (await peer.error("subscribe_events", topics=["camera.connected"]))["code"] == -32001


class Shown(BaseModel):
    device: str
    note: str | None = None


@dataclass(frozen=True)
class Fault:
    device: str
    kind: str


def test_an_event_is_rendered_once(forms: EventForms) -> None:
    made: list[object] = []

    def render(payload: str) -> Shown:
        made.append(payload)
        return Shown(device=payload)

    forms.register("camera.connected", render)
    event = Event("camera.connected", "camera0")
    first = forms.render("camera.connected", event)
    assert first is forms.render("camera.connected", event)
    assert first is not None
    assert first.device == "camera0"
    assert first.text == '{"jsonrpc":"2.0","method":"camera.connected","params":{"device":"camera0"}}'
    for number in range(200):
        forms.render("camera.connected", Event("camera.connected", f"camera{number}"))
    assert len(made) == 201


def test_a_form_that_fails_costs_only_its_event(forms: EventForms, caplog: pytest.LogCaptureFixture) -> None:
    forms.register("camera.connected", lambda payload: payload.no_such)
    event = Event("camera.connected", object())
    assert forms.render("camera.connected", event) is None
    assert forms.render("camera.connected", event) is None
    assert forms.render("camera_status_update", event) is None  # nobody said how
    assert len(caplog.records) == 2


def test_no_device_path_in_an_event(forms: EventForms) -> None:
    forms.register("camera.connected", lambda payload: {"device": payload, "why": "/dev/video0 is gone"})
    rendered = forms.render("camera.connected", Event("camera.connected", "camera0"))
    assert rendered is not None
    assert "/dev/" not in rendered.text


def test_plugins_add_topics_of_their_own(forms: EventForms) -> None:
    forms.add_plugin_topic("virtual_camera", "virtual_camera.fault")
    event = Event("virtual_camera.fault", Fault("camera0", "stall"))
    rendered = forms.render("virtual_camera.fault", event)
    assert rendered is not None
    assert rendered.text.endswith('"params":{"device":"camera0","kind":"stall"}}')
    assert forms.fed_by("virtual_camera.fault") == ("virtual_camera.fault",)
    for topic in (
        "virtual_camera.fault",
        "camera.connected",
        "virtual_camera.",
        "virtual_camera.A",
        "other.x",
    ):
        with pytest.raises(PluginError):
            forms.add_plugin_topic("virtual_camera", topic)


def test_only_known_topics_have_forms(forms: EventForms) -> None:
    with pytest.raises(ValueError, match="no topic"):
        forms.register("camera.conected", lambda payload: payload)


def test_the_contracts_topics_are_all_there(forms: EventForms) -> None:
    assert set(forms.names) == {
        "camera.connected", "camera.disconnected", "camera.status_change", "recording.start", "recording.stop",
        "recording.error", "snapshot.taken", "system.health", "system.startup", "system.shutdown",
        "plugin.quarantined",
        "camera_status_update", "recording_status_update", "system_health_update", "recording.started",
        "recording.stopped",
    }  # fmt: skip
    assert forms.resolve(["recording.started", "recording.start"]) == ("recording.start",)

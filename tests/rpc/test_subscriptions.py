import gc
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from agent_core.base.errors import PluginError
from agent_core.base.events import Event, Stamp
from agent_core.base.models import CameraId
from agent_core.rpc.notices import EventForm
from agent_core.rpc.topics import ALIASES, CORE_TOPICS, EventTopics
from tests.toy_server import numbered, without_number

if TYPE_CHECKING:
    from tests.toy_server import Peer, Toy


@pytest.fixture
def topics() -> EventTopics:
    return EventTopics()


async def subscribed(toy: "Toy", peer: "Peer", *topics: str, device: str | None = None) -> None:
    await peer.call("authenticate", auth_token=toy.token())
    filters = {"filters": {"device": device}} if device else {}
    assert await peer.result("subscribe_events", topics=list(topics), **filters) == {
        "subscribed": True,
        "topics": list(topics),
        "filters": {"device": device} if device else {},
        "boot_id": toy.bus.boot_id,
        "sequence": toy.bus.published,
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
            "params": {"device": "camera0", "sequence": 2},
        }
        assert await other.result("ping") == "pong"


async def test_one_event_feeds_its_aliases(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera_status_update", "camera.connected")
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish("camera.disconnected", {"device": "camera0"})
        heard = [await peer.receive() for _ in range(3)]
        methods = [each["method"] for each in heard]
        assert methods == ["camera.connected", "camera_status_update", "camera_status_update"]
        assert [each["params"]["sequence"] for each in heard] == [1, 1, 2]


async def test_a_filter_is_about_cameras(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera.connected", "system.health", device="camera1")
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish("camera.connected", {"device": "camera1"}, camera=CameraId("camera1"))
        toy.bus.publish("system.health", {"status": "HEALTHY"})
        assert without_number(await peer.receive()) == {"device": "camera1"}
        assert without_number(await peer.receive()) == {"status": "HEALTHY"}
        await subscribed(toy, peer, "camera.connected")
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        assert without_number(await peer.receive()) == {"device": "camera0"}


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
        assert stats["client_topics"] == [
            "camera.connected",
            "recording.started",
            "recording.start",
            "snapshot.taken",
        ]
        gone = await peer.result("unsubscribe_events", topics=["recording.started", "system.health"])
        assert gone == {"unsubscribed": True, "topics": ["recording.started"]}
        left = (await peer.result("unsubscribe_events"))["topics"]
        assert left == ["camera.connected", "recording.start", "snapshot.taken"]
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


STAMP = Stamp(7, datetime(2026, 11, 22, 12, tzinfo=UTC))


class Shown(EventForm):
    device: str
    note: str | None = None


@dataclass(frozen=True)
class Fault:
    device: str
    kind: str


def camera_event(topic: str, payload: object) -> Event:
    return Event(topic, payload, STAMP, CameraId("camera0"))


def test_an_event_is_rendered_once_for_all_its_topics(topics: EventTopics) -> None:
    made: list[tuple[str, Stamp]] = []

    def render(payload: str, stamp: Stamp) -> Shown:
        made.append((payload, stamp))
        return Shown(device=payload, sequence=stamp.sequence)

    for topic in ("camera.connected", "camera_status_update"):
        topics.register(topic, render)
    event = camera_event("camera.connected", "camera0")
    first = topics.render("camera.connected", event)
    assert first == '{"jsonrpc":"2.0","method":"camera.connected","params":{"sequence":7,"device":"camera0"}}'
    others = [camera_event("camera.connected", f"camera{number}") for number in range(20)]
    for other in others:
        topics.render("camera.connected", other)
    assert first is topics.render("camera.connected", event)
    assert made[0] == ("camera0", STAMP)
    assert len(made) == 21
    again = topics.render("camera_status_update", event)
    assert again is not None
    assert '"method":"camera_status_update"' in again
    assert len(made) == 21


def test_a_rendered_text_goes_with_its_event(topics: EventTopics) -> None:
    topics.register("camera.connected", lambda payload, _stamp: {"device": payload})
    event = camera_event("camera.connected", "camera0")
    topics.render("camera.connected", event)
    held = weakref.ref(event)
    del event
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("device", [None, "camera0"])
async def test_publishing_renders_nothing(toy: "Toy", device: str | None) -> None:
    rendered: list[object] = []

    def render(payload: dict[str, object], stamp: Stamp) -> dict[str, object]:
        rendered.append(payload)
        return {**payload, "at": stamp.at.isoformat()}

    toy.topics.register("camera.connected", render)
    async with toy.peer() as one, toy.peer() as two:
        for peer in (one, two):
            await subscribed(toy, peer, "camera.connected", device=device)
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish("camera.disconnected", {"device": "camera0"}, camera=CameraId("camera0"))
        assert rendered == []
        published_at = toy.clock.now()
        toy.clock.jump(30)  # A slow delivery does not change what the event says.
        heard = [await peer.receive() for peer in (one, two)]
    assert heard[0] == heard[1]
    assert heard[0]["params"] == {"device": "camera0", "at": published_at.isoformat()}
    assert rendered == [{"device": "camera0"}]


async def test_a_filtered_event_is_never_rendered(toy: "Toy") -> None:
    rendered: list[object] = []

    def render(payload: dict[str, object], stamp: Stamp) -> Mapping[str, object]:
        rendered.append(payload)
        return numbered(payload, stamp)

    toy.topics.register("camera.connected", render)
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera.connected", device="camera1")
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish("camera.connected", {"device": "camera1"}, camera=CameraId("camera1"))
        assert without_number(await peer.receive()) == {"device": "camera1"}
    assert rendered == [{"device": "camera1"}]


async def test_an_event_that_cannot_be_rendered_does_not_end_the_session(toy: "Toy") -> None:
    toy.topics.register("camera.connected", lambda payload, _stamp: payload.no_such)
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera.connected", "camera.disconnected")
        toy.bus.publish("camera.connected", {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish("camera.disconnected", {"device": "camera0"}, camera=CameraId("camera0"))
        assert (await peer.receive())["method"] == "camera.disconnected"


def test_a_form_that_fails_costs_only_its_event(
    topics: EventTopics, caplog: pytest.LogCaptureFixture
) -> None:
    topics.register("camera.connected", lambda payload, _stamp: payload.no_such)
    event = camera_event("camera.connected", object())
    assert topics.render("camera.connected", event) is None
    assert topics.render("camera.connected", event) is None
    assert topics.render("camera_status_update", event) is None  # not registered
    assert len(caplog.records) == 2


def test_no_device_path_in_an_event(topics: EventTopics) -> None:
    topics.register(
        "camera.connected", lambda payload, _stamp: {"device": payload, "why": "/dev/video0 is gone"}
    )
    rendered = topics.render("camera.connected", camera_event("camera.connected", "camera0"))
    assert rendered is not None
    assert "/dev/" not in rendered


def test_plugins_add_topics_of_their_own(topics: EventTopics) -> None:
    topics.add_plugin_topic("virtual_camera", "virtual_camera.fault")
    event = camera_event("virtual_camera.fault", Fault("camera0", "stall"))
    rendered = topics.render("virtual_camera.fault", event)
    assert rendered is not None
    assert rendered.endswith('"params":{"device":"camera0","kind":"stall","sequence":7}}')
    assert topics.fed_by("virtual_camera.fault") == ("virtual_camera.fault",)
    for topic in (
        "virtual_camera.fault",
        "camera.connected",
        "virtual_camera.",
        "virtual_camera.A",
        "other.x",
    ):
        with pytest.raises(PluginError):
            topics.add_plugin_topic("virtual_camera", topic)


def test_only_known_topics_have_forms(topics: EventTopics) -> None:
    with pytest.raises(ValueError, match="unknown topic"):
        topics.register("camera.conected", lambda payload, _stamp: payload)


def test_the_contracts_topics_are_all_there(topics: EventTopics) -> None:
    assert set(topics.names) == {
        "camera.connected", "camera.disconnected", "camera.status_change", "camera.controls",
        "recording.start", "recording.stop", "recording.error", "snapshot.taken", "system.health", "system.startup", "system.shutdown",
        "plugin.quarantined",
        "camera_status_update", "recording_status_update", "system_health_update", "recording.started",
        "recording.stopped",
    }  # fmt: skip


#: Each topic with its own name and the others under which clients subscribe to it.
NAMED = [(topic, alias) for alias, topic in ALIASES]


@pytest.mark.parametrize(("topic", "alias"), NAMED)
@pytest.mark.parametrize("is_own_name_first", [True, False])
async def test_each_name_of_a_topic_is_a_subscription_of_its_own(
    toy: "Toy", topic: str, alias: str, is_own_name_first: bool
) -> None:
    async with toy.peer() as peer:
        kept, ended = (topic, alias) if is_own_name_first else (alias, topic)
        await subscribed(toy, peer, kept, ended)
        toy.bus.publish(topic, {"count": 1})
        heard = [await peer.receive()]
        await peer.result("unsubscribe_events", topics=[ended])  # a second event would come before the reply
        toy.bus.publish(topic, {"count": 2})
        heard.append(await peer.receive())
        await peer.result("unsubscribe_events", topics=[kept])
        toy.bus.publish(topic, {"count": 3})
        await subscribed(toy, peer, kept)
        toy.bus.publish(topic, {"count": 4})
        heard.append(await peer.receive())
    assert [each["params"]["count"] for each in heard] == [1, 2, 4]
    assert {each["method"] for each in heard} == {topic}


@pytest.mark.parametrize(("topic", "alias"), NAMED)
async def test_each_name_of_a_topic_has_its_own_filter(toy: "Toy", topic: str, alias: str) -> None:
    async with toy.peer() as peer:
        await subscribed(toy, peer, topic)
        await subscribed(toy, peer, alias, device="camera1")
        toy.bus.publish(topic, {"device": "camera0"}, camera=CameraId("camera0"))
        assert (await peer.receive())["params"]["device"] == "camera0"
        await peer.result("unsubscribe_events", topics=[topic])
        toy.bus.publish(topic, {"device": "camera0"}, camera=CameraId("camera0"))
        toy.bus.publish(topic, {"device": "camera1"}, camera=CameraId("camera1"))
        assert (await peer.receive())["params"]["device"] == "camera1"


@pytest.mark.parametrize("topic", [topic.name for topic in CORE_TOPICS])
async def test_ending_one_topic_leaves_all_others(toy: "Toy", topic: str) -> None:
    async with toy.peer() as peer:
        others = [name for name in toy.topics.names if name != topic]
        await subscribed(toy, peer, *others, topic)
        await peer.result("unsubscribe_events", topics=[topic])
        assert (await peer.result("get_subscription_stats"))["client_topics"] == others


async def test_a_camera_that_appears_or_disappears_changes_its_status(toy: "Toy") -> None:
    async with toy.peer() as peer:
        await subscribed(toy, peer, "camera.status_change")
        for source in ("camera.disconnected", "camera.connected", "camera.status_change"):
            toy.bus.publish(source, {"source": source}, camera=CameraId("camera0"))
        heard = [await peer.receive() for _ in range(3)]
    assert {each["method"] for each in heard} == {"camera.status_change"}
    assert [each["params"]["source"] for each in heard] == [
        "camera.disconnected",
        "camera.connected",
        "camera.status_change",
    ]

"""Parts of the fleet client that decide, without a broker."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agent_core.plugin import call_signature, reply_signature
from mqtt_bridge.broker.messages import Incoming
from mqtt_bridge.broker.reasons import BrokerProblem, disconnected, refused
from mqtt_bridge.client import (
    BrokerAccess,
    CallFailed,
    ClockRefused,
    FleetClient,
    RequestUnusable,
    Selector,
    agent_key,
    key_id,
    new_fleet_key,
)
from mqtt_bridge.client.access import fleet_error
from mqtt_bridge.client.agents import Roster
from mqtt_bridge.client.calls import OutgoingCall, ReplyForm
from mqtt_bridge.client.watch import EventWatch, FleetEvent
from mqtt_bridge.topics import AgentTopics

NOW = datetime(2026, 11, 30, 12, 0, 0, 120000, tzinfo=UTC)
KEY = "mk_" + "k" * 43


def incoming(topic: str, payload: Any = b"", *, retained: bool = False, **properties: str) -> Incoming:
    content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Incoming(topic, content, retained, properties, None, "", "")


def test_the_key_of_an_agent_is_derived_and_its_own() -> None:
    fleet = "fk_" + "f" * 43
    first = agent_key(fleet, "box1")
    # printf 'camera-agent mqtt agent key 1\nbox1' | openssl dgst -sha256 -hmac fk_fff... -binary | basenc --base64url
    assert first == "mk_S5uviQakKNN87ZypPne6GkFuwXfdtkfIcilX7JsC3pw"
    assert agent_key(fleet, "box2") != first
    assert agent_key("fk_" + "g" * 43, "box1") != first
    assert len(key_id(first)) == 16


def test_each_key_of_a_fleet_is_new() -> None:
    one, other = new_fleet_key(), new_fleet_key()
    assert one != other
    assert len(one) == len(other) == 46
    assert one.startswith("fk_")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"key": KEY, "fleet_key": "fk_" + "f" * 43}, "not both"),
        ({"key": "fk_" + "f" * 43}, "begins with fk_"),
        ({"fleet_key": KEY}, "begins with fk_"),
        ({"key": "ck_" + "k" * 43}, "form mk_"),
        ({"key": KEY[:-1]}, "46 characters"),
    ],
)
def test_a_wrong_key_is_refused_without_showing_it(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        FleetClient("mqtt://127.0.0.1", **keys)  # type: ignore[arg-type]
    assert not any(key in str(refused.value) for key in keys.values())


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        (BrokerAccess("http://broker"), "begin with mqtt://"),
        (BrokerAccess("mqtt://user:secret@broker"), "user or password"),
        (BrokerAccess("mqtt://broker", password_file=Path("/x")), "password_file needs user"),
        (BrokerAccess("mqtts://broker", key_file=Path("/x")), "certificate_file and key_file"),
        (BrokerAccess("mqtt://broker", ca_file=Path("/x")), "mqtts://"),
    ],
)
def test_an_unusable_broker_is_refused(broker: BrokerAccess, said: str) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        FleetClient(broker)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("problem", [refused, disconnected])
def test_a_brokers_reason_names_nothing_that_only_an_agent_has(
    problem: Callable[[int], BrokerProblem],
) -> None:
    for code in range(0x80, 0x100):
        error = fleet_error(problem(code))
        assert "agent" not in error.details
        assert "plugins." not in error.suggestion
        assert "agent" not in error.suggestion


def roster(**agents: dict[str, str]) -> Roster:
    found = Roster("camera-agent")
    for agent, labels in agents.items():
        found.take(incoming(f"camera-agent/{agent}/status", b"online", retained=True))
        found.take(incoming(f"camera-agent/{agent}/state/agent", {"labels": labels}, retained=True))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", ["east", "north1", "north2"]),
        ("*", ["east", "north1", "north2"]),
        ("north*", ["north1", "north2"]),
        ("north?", ["north1", "north2"]),
        ("[en]*t*1", ["north1"]),
        ("east", ["east"]),
        ("eas", []),
        ("line=1", ["east", "north1"]),
        ("line=*", ["east", "north1"]),
        ("site=n*", ["north2"]),
        ("other=", None),
        ("=1", None),
        ("", None),
        ("north/1", None),
    ],
)
def test_a_selector_chooses_by_id_glob_or_label(text: str, expected: list[str] | None) -> None:
    agents = roster(north1={"line": "1"}, north2={"site": "north"}, east={"line": "1", "site": "east"})
    if expected is None:
        with pytest.raises(ValueError, match=r"label|agent's id"):
            Selector.parse(text)
        return
    selector = Selector.parse(text)
    assert [each.id for each in agents if selector.matches(each)] == expected


def test_only_one_agent_is_asked_for_if_its_id_is_given() -> None:
    assert Selector.parse("box1").only == "box1"
    assert [Selector.parse(text).only for text in ("all", "box*", "site=north")] == [None, None, None]


def test_the_roster_takes_what_agents_say_and_nothing_else() -> None:
    agents = roster(box={"site": "north"})
    for topic, payload in (
        ("camera-agent/replies/status", b"online"),
        ("camera-agent/a b/status", b"online"),
        ("camera-agent/../status", b"online"),
        (f"camera-agent/{'x' * 65}/status", b"online"),
        ("camera-agent/other/state/agent", b"{"),
        ("camera-agent/other/state/agent", b'{"labels": 3}'),
        ("camera-agent/other/state/agent", b'{"name": "' + b"x" * 70_000 + b'"}'),
        ("camera-agent/other/state/health", b"{}"),
        ("elsewhere/other/status", b"online"),
    ):
        agents.take(incoming(topic, payload))
    # An id of dots names no folder: file names have more after it.
    assert [each.id for each in agents] == ["..", "box"]
    agents.take(incoming("camera-agent/box/status", b"offline"))
    (box,) = [each for each in agents if each.id == "box"]
    assert (box.is_online, box.labels) == (False, {"site": "north"})
    for what in ("status", "state/agent"):
        agents.take(incoming(f"camera-agent/box/{what}"))
    assert agents.get("box") is None


def test_made_up_agents_take_a_limited_amount_of_memory() -> None:
    found = roster()
    state = json.dumps({"name": "x" * 1000, "padding": "x" * 60_000}).encode()
    for number in range(5000):
        found.take(incoming(f"camera-agent/box{number}/state/agent", state, retained=True))
    assert 4000 < len([*found]) < 5000
    for number in range(5000):
        found.take(incoming(f"camera-agent/box{number}/state/agent", b"", retained=True))
    assert [*found] == []
    found.take(incoming("camera-agent/box/state/agent", state, retained=True))
    assert [each.id for each in found] == ["box"]


def signed(**params: Any) -> OutgoingCall:
    topics = AgentTopics("camera-agent", "box")
    return OutgoingCall.sign(topics, "me", KEY, "echo", params, now=NOW, lifetime_s=20.0)


def test_a_call_is_signed_for_one_agent_and_reply_topic() -> None:
    call = signed(text="x")
    message = call.message()
    assert (message.topic, message.response_topic) == ("camera-agent/box/call", "camera-agent/replies/me")
    assert (message.qos, message.retain, message.expiry_s) == (1, False, 20)
    assert message.properties["issued_at"] == "2026-11-30T12:00:00.120Z"
    assert message.properties["expires_at"] == "2026-11-30T12:00:20.120Z"
    assert message.properties["key"] == key_id(KEY)
    assert message.properties["signature"] == call_signature(KEY, call.call)
    assert json.loads(message.payload)["params"] == {"text": "x"}
    assert KEY not in repr(call)
    other = signed(text="x")
    assert (call.call.nonce, call.correlation) != (other.call.nonce, other.correlation)


@pytest.mark.parametrize("value", [2**53 + 1, float("inf"), "\ud800"])
def test_a_call_without_a_canonical_form_is_refused(value: object) -> None:
    with pytest.raises(RequestUnusable, match="cannot be signed"):
        signed(value=value)


def reply_to(call: OutgoingCall, payload: bytes, **changes: Any) -> Incoming:
    facts: dict[str, Any] = {
        "agent": "box",
        "nonce": call.call.nonce,
        "correlation": call.correlation,
        "reply": payload,
    }
    signature = reply_signature(changes.pop("key", KEY), **{**facts, **changes})
    return incoming("camera-agent/replies/me", payload, signature=signature)


RESULT = b'{"jsonrpc": "2.0", "id": 1, "result": 3}'


def test_a_signed_reply_is_accepted() -> None:
    call = signed()
    accepted = call.accepted(reply_to(call, RESULT))
    assert accepted is not None
    assert accepted.value() == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "mk_" + "x" * 43},
        {"agent": "other"},
        {"nonce": "other"},
        {"correlation": b"other"},
        {"reply": b'{"jsonrpc": "2.0", "id": 1, "result": 4}'},
    ],
)
def test_a_reply_signed_for_something_else_is_not(changes: dict[str, Any]) -> None:
    call = signed()
    assert call.accepted(reply_to(call, RESULT, **changes)) is None


@pytest.mark.parametrize(
    "payload", [b"", b"{", b"[]", b'{"id": 2, "result": 1}', b"[" * 100_000, b'{"id": true}']
)
def test_a_signed_reply_of_another_form_is_not(payload: bytes) -> None:
    call = signed()
    assert call.accepted(reply_to(call, payload)) is None


def test_a_reply_without_a_signature_or_kept_by_the_broker_is_not() -> None:
    call = signed()
    good = reply_to(call, RESULT)
    assert call.accepted(incoming(good.topic, RESULT)) is None
    assert call.accepted(incoming(good.topic, RESULT, signature="ü" * 64)) is None
    kept = incoming(good.topic, RESULT, retained=True, signature=good.properties["signature"])
    assert call.accepted(kept) is None


def test_an_error_keeps_the_agents_words() -> None:
    data = {"reason": "camera_not_found", "details": "No camera9.", "suggestion": "List them."}
    form = ReplyForm.model_validate(
        {"id": 1, "error": {"code": -32010, "message": "Not found", "data": data}}
    )
    with pytest.raises(CallFailed) as failed:
        form.value()
    error = failed.value
    assert (error.code, error.reason, error.details, error.suggestion) == (-32010, *data.values())
    assert error.wire_data == data


@pytest.mark.parametrize("reason", ["call_expired", "call_from_future"])
def test_a_refusal_of_the_time_speaks_of_clocks(reason: str) -> None:
    data = {"reason": reason, "details": "The call has expired."}
    form = ReplyForm.model_validate({"id": 1, "error": {"code": -32001, "message": "x", "data": data}})
    with pytest.raises(ClockRefused) as refused:
        form.value()
    assert "clock" in refused.value.suggestion


class Watched:
    """Watch that a test feeds."""

    def __init__(self, selector: str = "all", capacity: int = 100) -> None:
        self.watch = EventWatch("camera-agent", Selector.parse(selector), capacity)

    def event(
        self, sequence: int, topic: str = "t", *, agent: str = "box", boot: str = "a", **params: Any
    ) -> None:
        value = {"boot_id": boot, "sequence": sequence, "topic": topic, "params": params}
        self.watch.take(incoming(f"camera-agent/{agent}/events/{topic}", value))

    async def all(self) -> list[FleetEvent]:
        return [await anext(self.watch) for _ in range(len(self.watch._held))]

    async def told(self) -> list[tuple[int, int, bool]]:
        return [(each.sequence, each.missed, each.has_restarted) for each in await self.all()]


async def test_gaps_between_events_are_told() -> None:
    watched = Watched()
    for sequence in (5, 6, 9):
        watched.event(sequence)
    watched.event(3, agent="other")
    assert await watched.told() == [(5, 0, False), (6, 0, False), (9, 2, False), (3, 0, False)]


async def test_events_that_come_again_are_left_out() -> None:
    watched = Watched()
    watched.event(5)
    watched.event(5, "u")  # one event of two topics
    watched.event(5)
    watched.event(4)
    watched.event(6)
    assert await watched.told() == [(5, 0, False), (5, 0, False), (6, 0, False)]


async def test_another_start_of_the_agent_is_told() -> None:
    watched = Watched()
    watched.event(50)
    watched.event(2, boot="b")
    watched.event(3, boot="b")
    assert await watched.told() == [(50, 0, False), (2, 0, True), (3, 0, False)]


async def test_events_that_the_agent_has_dropped_are_told() -> None:
    watched = Watched()
    watched.event(5)
    watched.event(9, "system.events_dropped", count=4, after=5)
    watched.event(10)
    watched.event(12, "system.events_dropped", count=-7)
    assert await watched.told() == [(5, 0, False), (9, 4, False), (10, 0, False), (12, 1, False)]


async def test_a_slow_reader_keeps_the_newest_and_is_told_of_the_others() -> None:
    watched = Watched(capacity=2)
    for sequence in (1, 2, 3, 4):
        watched.event(sequence)
    watched.event(1, agent="other")
    assert await watched.told() == [(4, 3, False), (1, 0, False)]


async def test_unread_events_take_a_limited_amount_of_memory() -> None:
    watched = Watched(capacity=10_000)
    for sequence in range(1, 401):
        watched.event(sequence, text="x" * 250_000)
    (first, missed, _), *rest = await watched.told()
    assert (missed, first + len(rest)) == (first - 1, 400)
    assert 200 < len(rest) * 250_000 / 2**18 < 256


async def test_labels_choose_the_agents_that_are_watched() -> None:
    watched = Watched("site=north")
    assert watched.watch.filters[-1] == "camera-agent/+/events/#"
    watched.event(1)
    watched.watch.take(incoming("camera-agent/box/state/agent", {"labels": {"site": "north"}}, retained=True))
    watched.event(2)
    watched.watch.take(incoming("camera-agent/box/state/agent", {"labels": {"site": "south"}}))
    watched.event(3)
    assert [sequence for sequence, *_ in await watched.told()] == [2]


def test_one_agent_is_watched_by_its_topic() -> None:
    assert Watched("box").watch.filters == ("camera-agent/box/events/#",)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("camera-agent/box/events/t", b""),
        ("camera-agent/box/events/t", b"[1]"),
        ("camera-agent/box/events/t", {"boot_id": "a", "sequence": 1, "topic": "u", "params": {}}),
        ("camera-agent/box/events/t", {"boot_id": "a", "sequence": -1, "topic": "t", "params": {}}),
        ("camera-agent/box/events/t", {"boot_id": "a", "sequence": 10**4000, "topic": "t", "params": {}}),
        ("camera-agent/box/events/t", {"boot_id": "a", "sequence": "1", "topic": "t", "params": {}}),
        ("camera-agent/a b/events/t", {"boot_id": "a", "sequence": 1, "topic": "t", "params": {}}),
        (
            "camera-agent/box/events/t",
            {"boot_id": "a", "sequence": 1, "topic": "t", "params": {"x": "y" * 300_000}},
        ),
    ],
)
def test_what_is_no_event_is_ignored(topic: str, payload: Any) -> None:
    watched = Watched()
    watched.watch.take(incoming(topic, payload))
    assert len(watched.watch._held) == 0

"""The desk for signed calls, over sessions and a broker that are stand-ins."""

import hashlib
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from agent_core.plugin import AuthenticationFailed, CallRefused, DependencyFailed, SignedCall
from agent_core.testing import FakeSessions, SimulatedClock
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.calls.desk import MOST_SESSIONS_OF_USER, CallDesk
from mqtt_bridge.settings import CommandSettings
from mqtt_bridge.topics import AgentTopics

from .clients import AGENT, PREFIX, Signer, incoming


class Broker:
    """Connection that keeps what is published, and that can end."""

    def __init__(self) -> None:
        self.packet_bytes = 1 << 20
        self.sent: list[Outgoing] = []
        self.is_lost = False
        self._changed = anyio.Event()

    async def publish(self, message: Outgoing) -> None:
        if self.is_lost:
            raise BrokerLost
        self.sent.append(message)
        self._changed.set()
        self._changed = anyio.Event()

    async def replies(self, count: int) -> list[Any]:
        with anyio.fail_after(20):
            while len(self.sent) < count:
                await self._changed.wait()
        return [json.loads(each.payload) for each in self.sent]


class Rig:
    """Desk with one client whose calls the sessions accept."""

    def __init__(self, **settings: Any) -> None:
        self.clock = SimulatedClock()
        self.sessions = FakeSessions(self.clock)
        self.client = Signer()
        self.user = self.sessions.user("console", "operator")
        self.sessions.keys[self.client.key_id] = self.user
        self.settings = CommandSettings.model_validate(settings)
        self.broker = Broker()
        self.desk = CallDesk(AgentTopics(PREFIX, AGENT), self.settings, self.sessions, self.clock)

    def ask(self, method: str = "work", *, client: Signer | None = None, **changes: Any) -> SignedCall:
        """Let the message of a call come in."""
        call = (client or self.client).call(self.clock.now(), method, **changes)
        self.desk.received(incoming(call, json.dumps(call.request).encode()))
        return call

    def gated(self) -> anyio.Event:
        """Let calls wait for an event."""
        gate = anyio.Event()

        async def answer(_params: Any) -> Any:
            await gate.wait()
            return "done"

        self.sessions.answers["work"] = answer
        return gate

    async def settle(self) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(rig.desk.run)
        tasks.start_soon(rig.desk.online, rig.broker)
        await rig.settle()
        yield rig
        tasks.cancel_scope.cancel()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with running(Rig()) as made:
        made.sessions.answers["work"] = {"done": True}
        yield made


async def test_a_reply_goes_to_its_client_signed_and_with_its_correlation(rig: Rig) -> None:
    call = rig.ask(id="seven", params={"device": "camera0"})
    (reply,) = await rig.broker.replies(1)
    assert reply == {"jsonrpc": "2.0", "id": "seven", "result": {"done": True}}
    (sent,) = rig.broker.sent
    assert (sent.topic, sent.correlation) == ("camera-agent/replies/c1", call.correlation)
    assert (sent.qos, sent.retain, sent.content_type) == (1, False, "application/json")
    assert sent.properties == {
        "agent": "box",
        "signature": hashlib.sha256(call.nonce.encode() + sent.payload).hexdigest(),
    }
    (seen,) = rig.sessions.calls
    assert (seen.user_id, seen.role, seen.params) == ("console", "operator", {"device": "camera0"})
    assert seen.address == "mqtt:c1"


async def test_replies_out_of_order_and_with_the_same_id_find_their_calls(rig: Rig) -> None:
    gates = {str(number): anyio.Event() for number in range(3)}

    async def answer(params: Any) -> Any:
        await gates[params["name"]].wait()
        return params["name"]

    rig.sessions.answers["work"] = answer
    calls = [rig.ask(id=1, params={"name": name}) for name in gates]
    await rig.sessions.wait_calls("work", 3)
    for number in (2, 0, 1):
        gates[str(number)].set()
        await rig.settle()
    assert [reply["result"] for reply in await rig.broker.replies(3)] == ["2", "0", "1"]
    assert [each.correlation for each in rig.broker.sent] == [
        calls[number].correlation for number in (2, 0, 1)
    ]
    assert rig.desk.open_sessions == 1


async def test_an_error_of_the_agent_is_its_reply(rig: Rig) -> None:
    rig.ask("no_such_method", id=3)
    (reply,) = await rig.broker.replies(1)
    assert (reply["id"], reply["error"]["code"]) == (3, -32601)


@pytest.mark.parametrize("request_", [{"jsonrpc": "1.0"}, {"params": 7}])
async def test_a_request_that_is_none_for_the_agent_has_a_reply(rig: Rig, request_: dict[str, Any]) -> None:
    call = rig.client.call(rig.clock.now(), "work")
    rig.desk.received(incoming(call, json.dumps({**call.request, **request_}).encode()))
    (reply,) = await rig.broker.replies(1)
    assert (reply["id"], reply["error"]["code"]) == (1, -32600)


async def test_a_refusal_without_a_signer_has_no_reply(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(50):
        rig.ask(key_id="f" * 16)
    await rig.settle()
    assert rig.broker.sent == []
    assert rig.desk.refusals.counts == {"signature_invalid": 50}
    assert len(caplog.records) == 1


async def test_a_proven_sender_is_told_why_but_not_without_end(rig: Rig) -> None:
    rig.sessions.refusal = AuthenticationFailed("It is late.", reason="call_expired")
    for _ in range(30):
        rig.ask()
    await rig.settle()
    replies = await rig.broker.replies(10)
    assert len(replies) == 10
    assert {reply["error"]["data"]["reason"] for reply in replies} == {"call_expired"}
    assert rig.sessions.calls == []
    await rig.clock.advance(2)
    for _ in range(5):
        rig.ask()
    await rig.settle()
    assert len(rig.broker.sent) == 12


async def test_a_call_whose_nonce_is_not_stored_does_not_run(rig: Rig) -> None:
    rig.sessions.refusal = DependencyFailed("The disk is full.", reason="disk_full", dependency="storage")
    rig.ask()
    (reply,) = await rig.broker.replies(1)
    assert (reply["error"]["code"], rig.sessions.calls) == (-32050, [])


@pytest.mark.parametrize(
    "method", ["authenticate", "create_api_key", "create_view_link", "subscribe_events", "unsubscribe_events"]
)
async def test_what_the_broker_would_show_is_refused(rig: Rig, method: str) -> None:
    rig.ask(method)
    (reply,) = await rig.broker.replies(1)
    assert (reply["error"]["code"], reply["error"]["data"]["reason"]) == (-32030, "not_over_broker")
    assert rig.sessions.calls == []


async def test_messages_that_ask_for_no_call_are_told_once_a_minute(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    call = rig.client.call(rig.clock.now(), "work")
    bad = incoming(call, b"no json")
    for _ in range(1000):
        rig.desk.received(bad)
    assert len(caplog.records) == 1
    await rig.clock.advance(61)
    rig.desk.received(incoming(call, b"{}", retained=True))
    assert "999 json, 1 retained" in caplog.records[1].getMessage()
    assert caplog.records[1].levelno == logging.WARNING
    assert rig.broker.sent == []
    assert rig.sessions.signed == []


async def test_a_session_is_one_users_and_clients(rig: Rig) -> None:
    other = Signer(key_id="e" * 16)
    rig.sessions.keys[other.key_id] = rig.sessions.user("other", "viewer")
    rig.ask()
    rig.ask()
    rig.ask(client=Signer("c2"))
    rig.ask(client=other)
    await rig.broker.replies(4)
    assert (rig.desk.open_sessions, rig.sessions.open) == (3, 3)
    seen = {(each.user_id, each.address) for each in rig.sessions.calls}
    assert seen == {("console", "mqtt:c1"), ("console", "mqtt:c2"), ("other", "mqtt:c1")}


async def test_an_idle_session_ends_and_a_call_begins_another(rig: Rig) -> None:
    rig.ask()
    await rig.broker.replies(1)
    await rig.clock.advance(200)
    rig.ask()
    await rig.broker.replies(2)
    await rig.clock.advance(299)
    await rig.settle()
    assert rig.sessions.open == 1
    await rig.clock.advance(2)
    await rig.sessions.wait_open(0)
    await rig.settle()
    assert rig.desk.open_sessions == 0
    rig.ask()
    await rig.broker.replies(3)
    assert rig.sessions.open == 1


async def test_a_running_call_keeps_its_session(rig: Rig) -> None:
    gate = rig.gated()
    rig.ask()
    await rig.sessions.wait_calls("work")
    await rig.clock.advance(10_000)
    assert rig.sessions.open == 1
    gate.set()
    assert (await rig.broker.replies(1))[0]["result"] == "done"
    await rig.clock.advance(299)
    assert rig.sessions.open == 1
    await rig.clock.advance(2)
    await rig.sessions.wait_open(0)


async def test_a_revoked_key_ends_its_calls_with_a_reply_and_no_others(rig: Rig) -> None:
    gate, other = anyio.Event(), Signer("c2", key_id="e" * 16)
    rig.sessions.keys[other.key_id] = rig.sessions.user("other", "viewer")

    async def answer(_params: Any) -> Any:
        await gate.wait()
        return "done"

    rig.sessions.answers["work"] = answer
    rig.ask(id="revoked")
    rig.ask(id="other", client=other)
    await rig.sessions.wait_calls("work", 2)
    await rig.sessions.revoke(rig.user)
    (reply,) = await rig.broker.replies(1)
    assert (reply["id"], reply["error"]["code"]) == ("revoked", -32001)
    assert reply["error"]["data"]["reason"] == "credentials_revoked"
    gate.set()
    assert (await rig.broker.replies(2))[1]["result"] == "done"


async def test_a_key_revoked_between_its_check_and_the_session_runs_nothing(rig: Rig) -> None:
    await rig.sessions.revoke(rig.user)
    rig.ask()
    (reply,) = await rig.broker.replies(1)
    assert reply["error"]["data"]["reason"] == "credentials_revoked"
    assert rig.sessions.calls == []
    await rig.settle()
    assert rig.desk.open_sessions == 0


async def test_a_session_that_the_agent_ends_tells_its_calls(rig: Rig) -> None:
    async def answer(_params: Any) -> Any:
        await anyio.sleep_forever()

    rig.sessions.answers["work"] = answer
    rig.ask()
    await rig.sessions.wait_calls("work")
    rig.sessions.end_sessions()
    (reply,) = await rig.broker.replies(1)
    assert (reply["error"]["code"], reply["error"]["data"]["reason"]) == (-32020, "session_ended")


async def test_the_number_of_calls_is_limited() -> None:
    async with running(Rig(max_calls=2)) as rig:
        gate = rig.gated()
        for _ in range(3):
            rig.ask()
        (reply,) = await rig.broker.replies(1)
        assert (reply["error"]["code"], reply["error"]["data"]["reason"]) == (-32040, "too_many_calls")
        gate.set()
        await rig.broker.replies(3)


async def test_programs_that_run_for_one_call_leave_room_for_the_next_one(rig: Rig) -> None:
    rig.sessions.answers["start_streaming"] = {"status": "STARTED"}
    rig.ask("start_streaming", client=Signer("player"))
    await rig.broker.replies(1)
    for number in range(2 * MOST_SESSIONS_OF_USER):
        await rig.clock.advance(0.1)
        rig.ask(client=Signer(f"program{number}"))
        *_, last = await rig.broker.replies(2 + number)
        assert last["result"] == {"done": True}
    await rig.sessions.wait_open(MOST_SESSIONS_OF_USER)
    assert rig.desk.open_sessions == MOST_SESSIONS_OF_USER
    for client in ("player", f"program{2 * MOST_SESSIONS_OF_USER - 1}"):
        rig.ask(client=Signer(client))
    await rig.settle()
    assert rig.sessions.open == MOST_SESSIONS_OF_USER, (
        "sessions that hold a stream or were used lately are kept"
    )


async def test_the_number_of_sessions_with_calls_is_limited(rig: Rig) -> None:
    gate = rig.gated()
    for number in range(MOST_SESSIONS_OF_USER + 1):
        rig.ask(client=Signer(f"client{number}"))
    (reply,) = await rig.broker.replies(1)
    assert reply["error"]["data"]["reason"] == "too_many_sessions"
    assert rig.desk.open_sessions == MOST_SESSIONS_OF_USER
    gate.set()
    await rig.broker.replies(1 + MOST_SESSIONS_OF_USER)


async def test_a_reply_that_is_too_large_becomes_an_error() -> None:
    async with running(Rig(max_reply_bytes=2000)) as rig:
        rig.sessions.answers["work"] = "x" * 1900
        rig.ask()
        assert (await rig.broker.replies(1))[0]["result"] == "x" * 1900
        rig.sessions.answers["work"] = "x" * 2000
        rig.ask(id=2)
        reply = (await rig.broker.replies(2))[1]
        assert (reply["id"], reply["error"]["data"]["reason"]) == (2, "reply_too_large")
        rig.broker.packet_bytes = 2000
        rig.sessions.answers["work"] = "x" * 1900
        rig.ask(id=3)
        assert (await rig.broker.replies(3))[2]["error"]["data"]["reason"] == "reply_too_large"


async def test_a_lost_connection_loses_replies_and_nothing_else(rig: Rig) -> None:
    rig.broker.is_lost = True
    rig.ask()
    await rig.sessions.wait_calls("work")
    await rig.settle()
    rig.broker.is_lost = False
    rig.ask(id=2)
    assert [reply["id"] for reply in await rig.broker.replies(1)] == [2]
    assert rig.sessions.open == 1


async def test_a_flood_takes_a_tenth_of_the_processor(rig: Rig) -> None:
    """Also one that is signed; the calls of others are lost with it, and the cameras lose nothing."""
    call = rig.client.call(rig.clock.now(), "work")
    costly = incoming(call, b"," * 32_000)
    for _ in range(100):
        rig.desk.received(costly)
    assert rig.desk.refusals.counts == {"too_large": 1, "busy": 99}
    for _ in range(1000):
        rig.desk.received(incoming(call, b"no json"))
    assert rig.desk.refusals.counts["json"] == pytest.approx(950, abs=5)
    await rig.clock.advance(1)
    for _ in range(1000):
        rig.desk.received(incoming(call, b"no json"))
    assert rig.desk.refusals.counts["json"] == pytest.approx(950 + 483, abs=6)


async def test_a_flood_waits_in_no_queue_without_end(rig: Rig) -> None:
    checked = anyio.Event()

    class Slow(FakeSessions):
        async def verify(self, call: SignedCall, *, agent: str, trust_clock: bool = False) -> Any:
            await checked.wait()
            raise CallRefused(AuthenticationFailed("No.", reason="signature_invalid"))

    desk = CallDesk(AgentTopics(PREFIX, AGENT), rig.settings, Slow(rig.clock), rig.clock)
    async with anyio.create_task_group() as tasks:
        await tasks.start(desk.run)
        call = rig.client.call(rig.clock.now(), "work")
        message = incoming(call, json.dumps(call.request).encode())
        for _ in range(1000):
            desk.received(message)
        assert desk.refusals.counts == {"busy": 744}
        checked.set()
        await rig.settle()
        assert desk.refusals.counts == {"busy": 744, "signature_invalid": 256}
        tasks.cancel_scope.cancel()

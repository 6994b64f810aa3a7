import json
import logging
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agent_core.auth.roles import Role
from agent_core.base.logging import _TextFormatter
from tests.toy_server import Peer, Toy, limited, without_number


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


async def signed_in(toy: Toy, peer: Peer, **token: Any) -> None:
    reply = await peer.call("authenticate", auth_token=toy.token(**token))
    assert reply["result"]["authenticated"] is True


async def test_ping_needs_no_one(toy: Toy) -> None:
    async with toy.peer() as peer:
        assert await peer.call("ping") == {"jsonrpc": "2.0", "id": "call", "result": "pong"}
        await peer.send('{"jsonrpc":"2.0","id":null,"method":"ping","params":[]}')
        assert await peer.receive() == {"jsonrpc": "2.0", "id": None, "result": "pong"}


async def test_authenticate_answers_as_the_contract_says(toy: Toy) -> None:
    async with toy.peer() as peer:
        result = await peer.result("authenticate", auth_token=toy.token(Role.OPERATOR, 60))
        session_id = result.pop("session_id")
        assert result == {
            "authenticated": True,
            "role": "operator",
            "permissions": ["view", "control"],
            "expires_at": "2026-11-22T17:04:54.000Z",
        }
        assert (await peer.result("whoami"))["note"].startswith(session_id)
        key = toy.keys.create("robot", Role.ADMIN)
        result = await peer.result("authenticate", auth_token=key)
        assert (result["permissions"], result["expires_at"]) == (["view", "control", "admin"], None)
        assert (await peer.result("whoami"))["text"] == "robot"


async def test_a_failed_attempt_changes_nothing(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with toy.peer() as peer:
        await signed_in(toy, peer)
        error = await peer.error("authenticate", auth_token="ck_wrong-and-secret")
        assert (error["code"], error["data"]["reason"]) == (-32001, "api_key_invalid")
        assert (await peer.result("whoami"))["text"] == "someone"
        for bad in ({}, {"auth_token": 5}, {"token": "x"}):
            assert (await peer.error("authenticate", **bad))["code"] == -32602
    assert "ck_wrong" not in caplog.text


async def test_calls_behind_authenticate_in_the_pipe_are_authenticated(toy: Toy) -> None:
    async with toy.peer() as peer:
        await peer.post(1, "authenticate", auth_token=toy.token())
        await peer.post(2, "echo", text="x")
        assert [(await peer.receive())["id"] for _ in range(2)] == [1, 2]
        await peer.send(
            [
                {"jsonrpc": "2.0", "id": 3, "method": "authenticate", "params": [toy.token()]},
                {"jsonrpc": "2.0", "method": "echo", "params": {"text": "unanswered"}},
                {"jsonrpc": "2.0", "id": 4, "method": "echo", "params": ["positional", 2]},
                "nonsense",
            ]
        )
        replies = await peer.receive()
        assert [reply["id"] for reply in replies] == [3, 4, None]
        assert replies[1]["result"] == {"text": "positionalpositional"}


async def test_replies_overtake_each_other(toy: Toy) -> None:
    async with toy.peer() as peer:
        await signed_in(toy, peer)
        await peer.post("slow", "wait")
        assert await peer.result("ping") == "pong"
        toy.doors.open.set()
        assert (await peer.receive())["id"] == "slow"


async def test_notifications_run_and_are_not_answered(toy: Toy) -> None:
    async with toy.peer() as peer:
        await signed_in(toy, peer)
        await peer.send({"jsonrpc": "2.0", "method": "wait"})
        await peer.send({"jsonrpc": "2.0", "method": "no_such_method"})
        await peer.send([{"jsonrpc": "2.0", "method": "bug"}])
        toy.doors.open.set()
        assert await peer.result("ping") == "pong"
        assert toy.doors.entered == 1


async def test_past_the_cap_a_call_is_refused_at_once(toy: Toy) -> None:
    async with toy.peer() as peer:
        await signed_in(toy, peer)
        for number in range(4):
            await peer.post(number, "wait")
        error = await peer.error("ping")
        assert (error["code"], error["data"]["reason"]) == (-32040, "too_many_calls")
        assert error["data"]["retry_after_ms"] > 0
        await peer.send([{"jsonrpc": "2.0", "id": 9, "method": "ping"}, {"jsonrpc": "2.0", "method": "ping"}])
        assert [reply["error"]["code"] for reply in await peer.receive()] == [-32040]
        await peer.send({"jsonrpc": "2.0", "method": "ping"})
        await peer.send("not json")
        assert (await peer.receive())["error"]["code"] == -32700
        toy.doors.open.set()
        assert {(await peer.receive())["id"] for _ in range(4)} == {0, 1, 2, 3}
        assert await peer.result("ping") == "pong"


async def test_quick_calls_of_one_burst_all_run(toy: Toy) -> None:
    async with toy.peer() as peer:
        for number in range(200):
            await peer.post(number, "ping")
        assert [(await peer.receive()).get("result") for _ in range(200)] == ["pong"] * 200


class _AlwaysReady:
    """A peer whose texts are all there already: reading and writing never wait."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.replies: list[str] = []

    async def receive(self) -> str:
        if not self.left:
            raise anyio.EndOfStream
        self.left -= 1
        return '{"jsonrpc":"2.0","id":1,"method":"ping"}'

    takes_more = True

    def send_now(self, text: str) -> None:
        self.replies.append(text)

    async def send(self, text: str) -> None:
        self.replies.append(text)

    def admit(self) -> None:
        pass

    def dismiss(self) -> None:
        pass

    def revoke(self) -> None:
        pass


async def test_a_burst_of_prompt_calls_lets_others_have_a_turn(toy: Toy) -> None:
    stream = _AlwaysReady(1000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(toy.sessions.serve, stream, "10.0.0.1")
        await settle()
        assert 0 < len(stream.replies) < 1000
    assert len(stream.replies) == 1000


async def test_a_batch_may_have_more_calls_than_run_at_once(toy: Toy) -> None:
    async with toy.peer() as peer:
        await signed_in(toy, peer)
        await peer.send([{"jsonrpc": "2.0", "id": n, "method": "wait"} for n in range(50)])
        await settle()
        assert toy.doors.entered == 4
        toy.doors.open.set()
        assert [reply["id"] for reply in await peer.receive()] == list(range(50))


async def test_a_closed_socket_cancels_its_calls_only(toy: Toy) -> None:
    async with toy.peer() as one, toy.peer() as other:
        await signed_in(toy, one)
        await signed_in(toy, other)
        await one.post(1, "wait")
        await other.post(2, "wait")
        await settle()
        assert toy.doors.entered == 2
        await one.close()
        with anyio.fail_after(20):
            await one.ended.wait()
        assert toy.doors.cancelled == 1
        assert len(toy.sessions) == 1
        toy.doors.open.set()
        assert (await other.receive())["id"] == 2
    assert len(toy.sessions) == 0


async def test_expiry_ends_calls_and_events_of_a_live_socket(toy: Toy) -> None:
    async with toy.peer() as peer, toy.peer() as quiet:
        await signed_in(toy, quiet, lifetime_s=60)
        await signed_in(toy, peer, lifetime_s=60)
        await peer.call("subscribe_events", topics=["camera.connected"])
        toy.bus.publish("camera.connected", {"device": "camera0"})
        assert (await peer.receive())["method"] == "camera.connected"
        toy.clock.jump(60)
        expired = await peer.receive()
        assert expired["method"] == "system.auth_expired"
        assert "id" not in expired
        toy.bus.publish("camera.connected", {"device": "camera1"})
        error = await peer.error("echo", text="x")
        assert (error["code"], error["data"]["reason"]) == (-32001, "token_expired")
        assert await peer.result("ping") == "pong"
        await signed_in(toy, peer, lifetime_s=60)
        toy.bus.publish("camera.connected", {"device": "camera2"})
        assert without_number(await peer.receive()) == {"device": "camera2"}
        # Without subscriptions there is nothing to end, so nothing unasked comes.
        assert (await quiet.error("echo", text="x"))["data"]["reason"] == "token_expired"


async def test_a_new_token_replaces_the_old_ones_end(toy: Toy) -> None:
    async with toy.peer() as peer:
        await signed_in(toy, peer, lifetime_s=60)
        await peer.call("subscribe_events", topics=["camera.connected"])
        await signed_in(toy, peer, lifetime_s=7200)
        toy.clock.jump(3700)
        await settle()
        toy.bus.publish("camera.connected", {"device": "camera0"})
        assert (await peer.receive())["method"] == "camera.connected"
        toy.clock.jump(3500)
        assert (await peer.receive())["method"] == "system.auth_expired"


async def test_an_expiry_with_events_waiting_comes_last(toy: Toy) -> None:
    async with toy.peer(buffer=0) as peer:
        await peer.post(1, "authenticate", auth_token=toy.token(lifetime_s=60))
        await peer.receive()
        await peer.post(2, "subscribe_events", topics=["camera.connected", "camera_status_update"])
        await peer.receive()
        for number in range(3):
            toy.bus.publish("camera.connected", {"device": f"camera{number}"})
        await settle()
        toy.clock.jump(60)
        await settle()
        assert (await peer.receive())["method"] == "camera.connected"
        assert (await peer.receive())["method"] == "system.auth_expired"
        assert await peer.result("ping") == "pong"


async def test_calls_are_charged_to_who_calls(toy: Toy, tmp_path: Path) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=10, burst=3)
    async with toy.peer() as peer, toy.peer() as same_address, toy.peer(address="10.0.0.2") as other:
        await signed_in(toy, peer)
        assert await same_address.result("ping") == "pong"
        assert await same_address.result("ping") == "pong"
        error = await same_address.error("ping")
        assert (error["code"], error["message"], error["data"]["reason"]) == (
            -32040,
            "Rate limited",
            "rate_limited",
        )
        assert error["data"]["retry_after_ms"] == 100
        assert await peer.result("ping") == "pong"
        assert await other.result("ping") == "pong"
        toy.clock.jump(0.1)
        assert await same_address.result("ping") == "pong"


async def test_failed_attempts_of_an_address_are_throttled(toy: Toy) -> None:
    async with toy.peer() as peer, toy.peer(address="10.0.0.2") as other:
        for _ in range(10):
            assert (await peer.error("authenticate", auth_token="x"))["code"] == -32001
        error = await peer.error("authenticate", auth_token="x")
        assert (error["code"], error["data"]["reason"]) == (-32040, "too_many_failures")
        assert (await other.error("authenticate", auth_token="x"))["code"] == -32001
        await signed_in(toy, peer)


async def test_what_others_send_from_an_address_keeps_no_user_out(toy: Toy, tmp_path: Path) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=0.001, burst=3)
    async with toy.peer() as stranger, toy.peer() as user, toy.peer() as wrong:
        for _ in range(3):
            assert await stranger.result("ping") == "pong"
        assert (await stranger.error("ping"))["code"] == -32040
        assert (await wrong.error("authenticate", auth_token="x"))["code"] == -32001
        await signed_in(toy, user)
        assert await user.result("echo", text="x") == {"text": "x"}


async def test_after_the_credentials_end_calls_are_anonymous_again(toy: Toy, tmp_path: Path) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=0.001, burst=3)
    async with toy.peer() as peer:
        await signed_in(toy, peer, lifetime_s=60)
        toy.clock.jump(60)
        for _ in range(2):
            assert await peer.result("ping") == "pong"
        await signed_in(toy, peer)
        for _ in range(3):
            assert await peer.result("ping") == "pong"


@pytest.mark.parametrize("text", ["no json", "[]", "1", '{"jsonrpc":"1.0","id":1,"method":"ping"}', "[1]"])
async def test_messages_that_are_no_calls_are_charged_too(toy: Toy, tmp_path: Path, text: str) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=0.001, burst=3)
    async with toy.peer() as noisy, toy.peer() as same_address:
        for _ in range(3):
            await noisy.send(text)
            await noisy.receive()
        assert (await same_address.error("ping"))["data"]["reason"] == "rate_limited"


async def test_a_peer_that_floods_is_read_ever_more_slowly(toy: Toy, tmp_path: Path) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=0.001, burst=1)
    stream = _AlwaysReady(1000)
    answered = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(toy.sessions.serve, stream, "10.0.0.1")
        for _ in range(600):
            await settle()
            answered.append(len(stream.replies))
            toy.clock.jump(0.01)
        tasks.cancel_scope.cancel()
    # One call, then one refusal after 10, 20, 40 ... milliseconds, and in the end one in each second.
    assert answered[0] == 2
    assert answered[1] == 3
    assert answered[128] - answered[0] == 7
    assert answered[-1] - answered[128] <= 5


async def test_a_peer_that_floods_is_read_at_once_when_it_authenticates(toy: Toy, tmp_path: Path) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=0.001, burst=3)
    async with toy.peer() as peer:
        for _ in range(3):
            assert await peer.result("ping") == "pong"
        await peer.post(1, "ping")
        await peer.post(2, "authenticate", auth_token=toy.token())
        await peer.post(3, "ping")
        assert (await peer.receive())["error"]["code"] == -32040
        toy.clock.jump(0.01)
        assert (await peer.receive())["id"] == 2
        assert (await peer.receive())["result"] == "pong"


async def test_long_messages_come_less_often_than_short_ones(toy: Toy, tmp_path: Path) -> None:
    toy = limited(tmp_path / "slow", calls_per_s=10, burst=20)
    async with toy.peer() as peer, toy.peer() as other, toy.peer() as quick:
        for each in (peer, other, quick):
            await signed_in(toy, each)
        for number in range(3):
            await peer.post(number, "echo", text="x" * 1_000_000)
        assert (await peer.receive())["id"] == 0
        # The bucket is empty now: the other long ones wait, those of this user's other connections too.
        await other.post("other", "echo", text="x" * 50_000)
        await settle()
        assert await quick.result("echo", text="x") == {"text": "x"}
        for peer_or_other in (peer, other, peer):
            toy.clock.jump(0.11)
            assert (await peer_or_other.receive())["result"]["text"].startswith("xxx")
            toy.clock.jump(2)


async def test_before_authenticate_a_message_holds_fewer_values(toy: Toy) -> None:
    async with toy.peer() as peer:
        full_batch = [{"jsonrpc": "2.0", "id": n, "method": "ping", "params": {}} for n in range(50)]
        await peer.send(full_batch)
        assert [each["result"] for each in await peer.receive()] == ["pong"] * 50
        error = await peer.error("ping", many=[1] * 1000)
        assert (error["code"], error["data"]["reason"]) == (-32600, "too_many_values")
        await signed_in(toy, peer)
        assert (await peer.error("ping", many=[1] * 1000))["data"]["rule"] == "unknown"


async def test_a_peer_that_does_not_read_stops_only_itself(toy: Toy) -> None:
    async with toy.peer(buffer=0) as deaf, toy.peer() as other:
        for peer in (deaf, other):
            await peer.post(1, "authenticate", auth_token=toy.token())
            await peer.receive()
            await peer.post(2, "subscribe_events", topics=["camera.connected"])
            await peer.receive()
        for number in range(10):
            toy.bus.publish("camera.connected", {"device": f"camera{number}"})
            assert without_number(await other.receive()) == {"device": f"camera{number}"}
        # One was under way, three are held, the rest is lost and counted before what is held.
        received = [await deaf.receive() for _ in range(5)]
        boot_id = toy.bus.boot_id
        assert [each["params"] for each in received] == [
            {"device": "camera0", "sequence": 1},
            {"count": 6, "reason": "slow_reader", "after": 1, "sequence": 7, "boot_id": boot_id},
            {"device": "camera7", "sequence": 8},
            {"device": "camera8", "sequence": 9},
            {"device": "camera9", "sequence": 10},
        ]
        assert received[1]["method"] == "system.events_dropped"
        assert await deaf.result("ping") == "pong"


async def test_calls_for_a_deaf_peer_are_bounded(toy: Toy) -> None:
    async with toy.peer(buffer=0) as deaf:
        for number in range(100):
            await deaf.post(number, "ping")
        await settle()
        (session,) = toy.sessions._open
        assert session._calls_seen <= 5
        await deaf.close()


async def test_log_records_of_a_call_name_it(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.setFormatter(_TextFormatter())
    async with toy.peer() as peer:
        result = await peer.result("whoami")
        await peer.error("bug")
    session_id = result["note"].partition("-")[0]
    assert f" request_id={session_id}-2" in caplog.text


async def test_nothing_sent_has_a_device_path(toy: Toy) -> None:
    async with toy.peer() as peer:
        reply = await peer.call("leak")
        assert reply["result"] == {"text": "it is [device], or so"}
        await peer.post("/dev/mine", "nothing")
        assert (await peer.receive())["id"] == "/dev/mine"
        assert "/dev/" not in json.dumps(reply)

"""FakeSessions: what a test scripts, and what it sees."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import JsonValue

from agent_core.plugin import AuthenticationFailed, CallRefused, NotFound, PrincipalSource, SignedCall
from agent_core.testing import FakeAgent, FakeCall, FakeSessions, SimulatedClock
from tests.rpc.test_lent_sessions import Client


@pytest.fixture
def fake() -> FakeSessions:
    return FakeSessions(SimulatedClock())


@asynccontextmanager
async def served(fake: FakeSessions, user: PrincipalSource | None = None) -> AsyncIterator[Client]:
    client = Client()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, fake, client, user or fake.own("admin"))
        await fake.wait_open(1)
        yield client
        client.to_agent.close()
    client.close()


async def run(fake: FakeSessions, client: Client, user: PrincipalSource) -> None:
    await fake.serve(client, user, address="test:client")


async def test_answers_are_results_errors_and_functions(fake: FakeSessions) -> None:
    async def later(params: Mapping[str, JsonValue]) -> JsonValue:
        await anyio.lowlevel.checkpoint()
        return {"later": params["width"]}

    fake.answers |= {
        "get_camera_list": {"cameras": []},
        "get_camera_status": NotFound("There is no camera9.", resource="camera", id="camera9"),
        "get_picture": later,
        "get_status": len,
    }
    async with served(fake) as client:
        assert (await client.call("get_camera_list"))["result"] == {"cameras": []}
        assert (await client.call("get_camera_status", device="camera9"))["error"]["code"] == -32010
        assert (await client.call("get_picture", width=320))["result"] == {"later": 320}
        assert (await client.call("get_status"))["result"] == 0
        assert (await client.call("take_snapshot"))["error"]["code"] == -32601
    assert fake.calls[1:3] == [
        FakeCall("get_camera_status", {"device": "camera9"}, "plugin", "admin", "test:client"),
        FakeCall("get_picture", {"width": 320}, "plugin", "admin", "test:client"),
    ]


async def test_an_answer_replaces_a_method_of_the_session(fake: FakeSessions) -> None:
    fake.answers["subscribe_events"] = AuthenticationFailed("Not now.")
    async with served(fake) as client:
        assert (await client.call("subscribe_events", topics=["camera.connected"]))["error"]["code"] == -32001


async def test_a_restart_ends_sessions_and_counts_anew(fake: FakeSessions) -> None:
    async with served(fake) as client:
        first = await client.call("subscribe_events", topics=["camera.connected"])
        await fake.wait_subscribed("camera.connected")
        assert fake.publish("camera.connected", {"device": "camera0"}) == 1
        fake.restart()
        await fake.wait_open(0)
    place = {"boot_id": first["result"]["boot_id"], "sequence": 1}
    async with served(fake) as client:
        fake.publish("camera.connected", {"device": "camera1"})
        await client.post("subscribe_events", topics=["camera.connected"], replay_since=place)
        texts = [await client.read() for _ in range(3)]
    reasons = [each["params"].get("reason") for each in texts if "params" in each]
    assert reasons == ["agent_restarted", None]
    assert texts[-1]["params"] == {"device": "camera1", "sequence": 1}
    assert texts[0]["result"]["boot_id"] == fake.boot_id != first["result"]["boot_id"]


async def test_waits_end_with_what_they_wait_for(fake: FakeSessions) -> None:
    async with served(fake) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(fake.wait_calls, "ping", 2)
        for _ in range(2):
            await client.call("ping")
    assert len(await fake.wait_calls("ping", 2)) == 2


async def test_the_user_of_a_session_expires(fake: FakeSessions) -> None:
    clock = SimulatedClock()
    fake = FakeSessions(clock)
    user = fake.user(expires_at=clock.now() + timedelta(seconds=5))
    async with anyio.create_task_group() as tasks:

        async def expect() -> None:
            with pytest.raises(AuthenticationFailed):
                await run(fake, client, user)

        client = Client()
        tasks.start_soon(expect)
        await fake.wait_open(1)
        await clock.advance(6)
    client.close()


def call(**changes: Any) -> SignedCall:
    given: dict[str, Any] = {"agent": "box", "client": "pc", "key_id": "k1", "request": {"id": 1}}
    rest = {"response_topic": "replies/pc", "correlation": b"1", "issued_at": "", "expires_at": ""}
    return SignedCall(**{**given, **rest, "nonce": "n", "signature": "s", **changes})


async def test_signed_calls_of_known_keys_are_accepted(fake: FakeSessions) -> None:
    user = fake.keys["k1"] = fake.user("robot")
    verified = await fake.verify(call(), agent="box")
    assert verified.principal == user
    assert verified.signer.sign(b"reply") != verified.signer.sign(b"other")
    for wrong in (call(agent="other"), call(key_id="k2")):
        with pytest.raises(CallRefused):
            await fake.verify(wrong, agent="box")
    assert [each.key_id for each in fake.signed] == ["k1", "k1", "k2"]


def test_every_fake_agent_has_sessions(tmp_path: Path) -> None:
    assert FakeAgent(tmp_path).sessions.own("viewer").role == "viewer"

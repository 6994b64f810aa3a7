"""Signed calls to a real agent through a real Mosquitto."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent_core.auth.api_keys import ApiKeys, NewKey
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import KeyKind
from agent_core.plugin import (
    AgentContext,
    Plugin,
    RpcMethod,
    RpcParams,
    RpcResult,
    Settings,
    SignedCall,
    hookimpl,
    reply_signature,
)
from agent_core.plugin.ffmpeg import locate
from agent_core.testing import RunningAgent, SystemClock
from agent_core.testing.waiting import eventually

from .agents import ROOT, bridged_agent
from .calls.clients import Signer, properties_of
from .mosquitto import Mosquitto, Seen, running_mosquitto, watching

DOC = Path(__file__).parents[3] / "docs/mqtt-calls.md"
TRUSTING = {"trust_clock": True}


class SteppedClock(SystemClock):
    """Clock of the system that a test sets."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


class Caller:
    """Client of the broker that signs calls, and keeps the replies."""

    def __init__(self, seen: Seen, signer: Signer, clock: SystemClock) -> None:
        self.seen, self.signer, self.clock = seen, signer, clock

    async def send(
        self, call: SignedCall, *, payload: bytes | None = None, retain: bool = False, **changes: Any
    ) -> None:
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ResponseTopic = changes.get("response_topic", call.response_topic)
        properties.CorrelationData = call.correlation
        properties.UserProperty = [*changes.get("properties", properties_of(call)).items()]
        content = json.dumps(call.request).encode() if payload is None else payload
        await self.seen.client.publish(f"{ROOT}/call", content, qos=1, retain=retain, properties=properties)

    def replies(self, call: SignedCall) -> list[Any]:
        """Return the replies to a call; each must be signed."""
        found = []
        for message in self.seen.messages:
            properties: Any = message.properties
            if getattr(properties, "CorrelationData", None) != call.correlation:
                continue
            reply = bytes(message.payload)
            signature = reply_signature(
                self.signer.key, agent=call.agent, nonce=call.nonce, correlation=call.correlation, reply=reply
            )
            assert dict(properties.UserProperty) == {"agent": "box", "signature": signature}
            found.append(json.loads(reply))
        return found

    async def reply(self, call: SignedCall) -> Any:
        await self.seen.until(lambda: bool(self.replies(call)))
        (reply,) = self.replies(call)
        return reply

    def sign(self, method: str = "get_camera_list", **changes: Any) -> SignedCall:
        return self.signer.call(self.clock.now(), method, **changes)

    async def call(self, method: str = "get_camera_list", **changes: Any) -> Any:
        call = self.sign(method, **changes)
        await self.send(call)
        return await self.reply(call)


def made_key(folder: Path, role: Role = Role.OPERATOR, user: str = "console") -> Signer:
    """Return a client whose key the agent in `folder` has."""
    keys = ApiKeys(folder / "state/api-keys.json", SystemClock())
    key, stored = keys.add(NewKey(user, role, KeyKind.MQTT))
    return Signer(key=key, key_id=stored.id)


@asynccontextmanager
async def calling(
    broker: Mosquitto, signer: Signer, clock: SystemClock | None = None
) -> AsyncIterator[Caller]:
    async with watching(broker, f"camera-agent/replies/{signer.client}") as seen:
        yield Caller(seen, signer, clock or SystemClock())


@asynccontextmanager
async def agent_online(broker: Mosquitto, folder: Path, **options: Any) -> AsyncIterator[RunningAgent]:
    """Run an agent until the broker has its birth."""
    async with (
        watching(broker, f"{ROOT}/status") as seen,
        bridged_agent(broker.url, folder, **options) as agent,
    ):
        await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online" and not seen.messages[-1].retain)
        yield agent


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with running_mosquitto(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "agent"


async def test_a_call_gets_what_the_socket_gets(broker: Mosquitto, folder: Path) -> None:
    async with (
        agent_online(broker, folder, commands=TRUSTING) as agent,
        calling(broker, made_key(folder)) as caller,
    ):
        reply = await caller.call("get_camera_status", id="a", params={"device": "camera0"})
        async with agent.client("operator") as client:
            same: Any = await client.call("get_camera_status", device="camera0")
        assert (reply["id"], reply["result"].keys()) == ("a", same.keys())
        assert reply["result"]["name"] == same["name"]
        missing = await caller.call("get_camera_status", params={"device": "camera9"})
        assert missing["error"]["code"] == -32010
        denied = await caller.call("get_status")
        assert denied["error"]["code"] == -32002
        taken = await caller.call("take_snapshot", params={"device": "camera0"})
        assert taken["result"]["status"] == "SUCCESS"
        assert "download_url" not in taken["result"]
        assert (await caller.call("authenticate", params={"auth_token": "x"}))["error"]["code"] == -32030


async def test_what_is_no_call_is_not_answered_and_does_nothing(broker: Mosquitto, folder: Path) -> None:
    async with (
        agent_online(broker, folder, commands=TRUSTING) as agent,
        calling(broker, made_key(folder)) as caller,
    ):
        good = caller.sign("take_snapshot", params={"device": "camera0", "filename": "never.jpg"})
        await caller.send(good, payload=b'{"jsonrpc":"2.0","id":1,"method":"get_camera_list"}')
        await caller.send(good, payload=b"\xff\xfe")
        await caller.send(good, payload=b"[" + json.dumps(good.request).encode() + b"]")
        await caller.send(good, payload=b" " * 70_000)
        await caller.send(good, response_topic="camera-agent/replies/other")
        await caller.send(good, response_topic=f"{ROOT}/call")
        await caller.send(good, properties={})
        await caller.send(good, properties=properties_of(good) | {"client": "other"})
        await caller.send(caller.sign("take_snapshot", agent="other", params={"device": "camera0"}))
        await caller.send(replace(good, key_id="f" * 16))
        await caller.send(replace(good, signature="0" * 64))
        assert "result" in await caller.call()
        assert len(caller.seen.messages) == 1
        async with agent.client("viewer") as client:
            stored: Any = await client.call("list_snapshots")
        assert stored["total"] == 0


async def test_times_that_are_wrong_are_told_to_the_proven_sender(broker: Mosquitto, folder: Path) -> None:
    async with agent_online(broker, folder) as _, calling(broker, made_key(folder)) as caller:
        for ahead_s, reason in ((-60, "call_expired"), (60, "call_from_future")):
            call = caller.signer.call(caller.clock.now() + timedelta(seconds=ahead_s), "ping")
            await caller.send(call)
            assert (await caller.reply(call))["error"]["data"]["reason"] == reason


async def test_a_retained_call_never_runs(broker: Mosquitto, folder: Path) -> None:
    """Neither one that the broker has kept, nor one that it is to keep and that comes while the agent listens."""
    folder.mkdir()
    async with calling(broker, made_key(folder)) as caller:
        before = caller.sign()
        await caller.send(before, retain=True)
        async with agent_online(broker, folder):
            meanwhile = caller.sign()
            await caller.send(meanwhile, retain=True)
            assert "result" in await caller.call()
            assert caller.replies(before) == caller.replies(meanwhile) == []


async def test_a_call_runs_once_over_a_restart_of_the_agent(broker: Mosquitto, folder: Path) -> None:
    folder.mkdir()
    async with calling(broker, made_key(folder)) as caller:
        call = caller.sign("take_snapshot", params={"device": "camera0"})
        async with agent_online(broker, folder, commands=TRUSTING):
            await caller.send(call)
            assert "result" in await caller.reply(call)
            await caller.send(call)
            assert "result" in await caller.call()
        async with agent_online(broker, folder, commands=TRUSTING) as agent:
            await caller.send(call)
            assert "result" in await caller.call()
            assert len(caller.replies(call)) == 1
            async with agent.client("viewer") as client:
                stored: Any = await client.call("list_snapshots")
            assert stored["total"] == 1


async def test_a_clock_that_is_set_back_makes_no_call_new(broker: Mosquitto, folder: Path) -> None:
    clock = SteppedClock()
    async with (
        agent_online(broker, folder, commands=TRUSTING, clock=clock),
        calling(broker, made_key(folder), clock) as caller,
    ):
        call = caller.sign("get_camera_list")
        await caller.send(call)
        await caller.reply(call)
        clock.ahead = timedelta(hours=1)
        assert "result" in await caller.call()
        clock.ahead = timedelta()
        await caller.send(call)
        await caller.seen.until(lambda: len(caller.replies(call)) == 2)
        assert caller.replies(call)[1]["error"]["data"]["reason"] == "call_expired"
        assert "result" in await caller.call()


async def test_a_host_without_a_state_folder_runs_nothing(broker: Mosquitto, folder: Path) -> None:
    async with agent_online(broker, folder, commands=TRUSTING), calling(broker, made_key(folder)) as caller:
        assert "result" in await caller.call()
        (folder / "state").rename(folder / "elsewhere")
        reply = await caller.call()
        assert (reply["error"]["code"], reply["error"]["data"]["reason"]) == (-32050, "state_missing")


class WaitResult(RpcResult):
    pass


class Wait(RpcMethod[RpcParams]):
    """Method that runs until its call is cancelled."""

    name = "slow.wait"
    role = "viewer"
    summary = "Wait without end."
    Params = RpcParams
    Result = WaitResult

    def __init__(self) -> None:
        self.begun, self.ended = anyio.Event(), anyio.Event()

    async def call(self, params: RpcParams) -> WaitResult:
        self.begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.ended.set()
        return WaitResult()


def slow_plugin(method: Wait) -> type[Plugin[Settings]]:
    class SlowPlugin(Plugin[Settings]):
        Settings = Settings
        hookspec_api = ">=1.0,<2"

        @hookimpl
        def agent_rpc_methods(self, agent: AgentContext) -> list[RpcMethod[Any]]:
            return [method]

    return SlowPlugin


async def test_a_revoked_key_ends_a_running_call(broker: Mosquitto, folder: Path) -> None:
    method = Wait()
    async with (
        agent_online(broker, folder, plugins={"slow": slow_plugin(method)}) as agent,
        calling(broker, made_key(folder)) as caller,
    ):
        call = caller.sign("slow.wait")
        await caller.send(call)
        with anyio.fail_after(20):
            await method.begun.wait()
        async with agent.client("admin") as admin:
            (key,) = (await admin.call("list_api_keys"))["keys"]
            assert (key["kind"], key["id"]) == ("mqtt", caller.signer.key_id)
            await admin.call("revoke_api_key", id=key["id"])
        assert (await caller.reply(call))["error"]["data"]["reason"] == "credentials_revoked"
        with anyio.fail_after(20):
            await method.ended.wait()
        late = caller.sign()
        await caller.send(late)
        other = replace(made_key(folder, user="other"), client="c2")
        async with calling(broker, other) as second:
            assert "result" in await second.call()
        assert caller.replies(late) == []


async def test_a_stream_is_held_by_its_clients_session_until_that_is_idle(
    broker: Mosquitto, folder: Path
) -> None:
    if locate(None) is None:
        pytest.skip("needs FFmpeg")
    commands = {**TRUSTING, "session_idle_s": 5}
    async with (
        agent_online(broker, folder, media=True, commands=commands) as agent,
        calling(broker, made_key(folder)) as caller,
    ):

        async def started() -> bool:
            return "result" in await caller.call("start_streaming", params={"device": "camera0"})

        await eventually(started)
        status = await caller.call("get_stream_status", params={"device": "camera0"})
        assert status["result"]["status"] in {"ACTIVE", "STARTING"}
        async with agent.client("operator") as client:

            async def ended() -> bool:
                found: Any = await client.call("get_stream_status", device="camera0")
                return bool(found["status"] in {"INACTIVE", "STOPPING"})

            await eventually(ended)
        stopped = await caller.call("stop_streaming", params={"device": "camera0"})
        assert stopped["error"]["data"]["reason"] == "not_streaming"


async def test_a_hundred_calls_at_once_are_answered(broker: Mosquitto, folder: Path) -> None:
    more = {"server": {"max_calls": 100}, "auth": {"calls_burst": 1000}}
    async with agent_online(broker, folder, more=more) as _, calling(broker, made_key(folder)) as caller:
        calls = [caller.sign("get_camera_list", id=1) for _ in range(100)]
        async with anyio.create_task_group() as tasks:
            for each in calls:
                tasks.start_soon(caller.send, each)
        for each in calls:
            assert (await caller.reply(each))["id"] == 1


async def test_the_broker_may_go_while_a_session_stays(broker: Mosquitto, folder: Path) -> None:
    async with agent_online(broker, folder, reconnect_spread_s=0.5):
        signer = made_key(folder)
        async with calling(broker, signer) as caller:
            before = await caller.call("get_subscription_stats")
        await broker.stop()
        await broker.start()
        async with watching(broker, f"{ROOT}/status") as seen:
            await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
        async with calling(broker, signer) as caller:
            after = await caller.call("get_subscription_stats")
    assert after["result"]["client_id"] == before["result"]["client_id"]


async def test_the_shell_script_of_the_document_calls(
    broker: Mosquitto, folder: Path, tmp_path: Path
) -> None:
    if not all(shutil.which(each) for each in ("openssl", "mosquitto_rr")):
        pytest.skip("needs openssl and mosquitto_rr (packages openssl, mosquitto-clients)")
    (text,) = re.findall(r"^```sh\n(.*?)\n```$", DOC.read_text(), re.DOTALL | re.MULTILINE)
    script = tmp_path / "call.sh"
    script.write_text(text)
    async with agent_online(broker, folder):
        signer = made_key(folder)
        env = {
            **os.environ,
            "KEY": signer.key,
            "AGENT": "box",
            "BROKER": broker.host,
            "PORT": str(broker.port),
        }
        request = '{"id":1,"jsonrpc":"2.0","method":"get_camera_list"}'
        ran = await anyio.run_process(
            ["sh", str(script), request], env=env, check=False, stderr=subprocess.STDOUT
        )
    assert json.loads(ran.stdout)["result"]["total"] == 1

"""Fleet client at a real Mosquitto, with agents that the test plays: honest, absent, odd and hostile ones."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from mqtt_bridge.client import (
    Answer,
    BrokerAccess,
    BrokerRefused,
    BrokerUnreachable,
    CallFailed,
    CallInterrupted,
    ClockRefused,
    FleetAgent,
    FleetClient,
    NoAnswer,
    RequestUnusable,
)

from .fleet_boxes import FLEET_KEY, Received, running_box
from .mochi_broker import running_mochi
from .mosquitto import Certificates, Mosquitto, running_mosquitto, watching


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with running_mosquitto(tmp_path / "broker", lines=("set_tcp_nodelay true",)) as running:
        yield running


def client(broker: Mosquitto, **options: Any) -> FleetClient:
    return FleetClient(broker.url, fleet_key=FLEET_KEY, **options)


async def silent(call: Received) -> None:
    """Answer nothing."""


async def test_agents_are_found_by_their_retained_state(broker: Mosquitto) -> None:
    async with client(broker) as fleet:
        assert await fleet.agents() == []
        async with running_box(broker, "box1", labels={"site": "north"}), running_box(broker, "box2"):
            one, two = await fleet.agents()
            assert (one.id, one.is_online, one.name, one.labels) == (
                "box1",
                True,
                "The box1",
                {"site": "north"},
            )
            assert (two.id, two.is_online, two.boot_id) == ("box2", True, "boot")
            assert [each.id for each in await fleet.select("site=north")] == ["box1"]
            assert [each.id for each in await fleet.agents("box2")] == ["box2"]
            assert await fleet.select("box3") == []
        assert [each.is_online for each in await fleet.agents()] == [False, False]


async def test_thousands_of_agents_are_found_although_the_broker_queues_few(tmp_path: Path) -> None:
    count = 3000
    async with running_mosquitto(tmp_path / "broker", lines=("max_queued_messages 100",)) as broker:
        async with watching(broker) as seen:
            for number in range(count):
                await seen.client.publish(f"camera-agent/box{number}/status", b"online", retain=True)
            await seen.client.publish("camera-agent/last/status", b"online", qos=1, retain=True)
        async with client(broker) as fleet:
            assert len(await fleet.agents()) == count + 1


async def test_a_call_is_answered(broker: Mosquitto) -> None:
    async with running_box(broker, "box1") as box, client(broker) as fleet:
        assert await fleet.call("box1", "echo", text="x", number=1.5) == {
            "method": "echo",
            "params": {"text": "x", "number": 1.5},
        }
        assert box.calls[0].is_signed
        assert box.calls[0].expiry_s == 20
        await fleet.request("box1", "echo", {}, deadline_s=3600)
        assert box.calls[1].expiry_s == 30


async def test_an_error_of_the_agent_is_raised(broker: Mosquitto) -> None:
    async def refuse(call: Received) -> None:
        await call.error(-32010, "Not found", reason="camera_not_found", details="No camera9.")

    async with running_box(broker, "box1", refuse), client(broker) as fleet:
        with pytest.raises(CallFailed, match="No camera9") as failed:
            await fleet.call("box1", "get_camera_status", device="camera9")
    assert (failed.value.code, failed.value.reason) == (-32010, "camera_not_found")


async def test_an_agent_that_is_not_connected_is_told_at_once(broker: Mosquitto) -> None:
    async with client(broker, deadline_s=600) as fleet:
        with pytest.raises(NoAnswer, match="No agent box9") as missing:
            await fleet.call("box9", "ping")
    assert missing.value.reason == "not_connected"


async def test_the_deadline_ends_a_call(broker: Mosquitto) -> None:
    async with running_box(broker, "box1", silent), client(broker, deadline_s=0.2) as fleet:
        with pytest.raises(NoAnswer, match="did not answer ping within"):
            await fleet.call("box1", "ping")


@pytest.mark.parametrize(
    "odd",
    [
        {"signature": "0" * 64},
        {"signature": ""},
        {"nonce": "another"},
        {"correlation": b"foreign"},
        {"topic": "camera-agent/replies/other"},
    ],
    ids=lambda odd: next(iter(odd)),
)
async def test_a_reply_that_is_not_the_agents_does_not_count(broker: Mosquitto, odd: dict[str, Any]) -> None:
    async def lie_then_tell(call: Received) -> None:
        await call.reply({"jsonrpc": "2.0", "id": 1, "result": "lie"}, **odd)
        await call.result("truth")

    async with running_box(broker, "box1", lie_then_tell), client(broker) as fleet:
        assert await fleet.call("box1", "ask") == "truth"


async def test_forged_replies_are_told_if_no_other_comes(broker: Mosquitto) -> None:
    async def lie(call: Received) -> None:
        for _ in range(3):
            await call.reply({"jsonrpc": "2.0", "id": 1, "result": "lie"}, signature="0" * 64)

    async with running_box(broker, "box1", lie), client(broker, deadline_s=1) as fleet:
        with pytest.raises(NoAnswer, match="without a valid signature") as forged:
            await fleet.call("box1", "ask")
    assert forged.value.reason == "forged"


async def test_repeated_and_late_replies_change_nothing(broker: Mosquitto) -> None:
    async def twice(call: Received) -> None:
        first = call.box.calls[0]
        await first.result("late" if call is not first else "first")
        await call.result(call.request["params"]["number"])
        await call.result("again")

    async with running_box(broker, "box1", twice), client(broker) as fleet:
        assert await fleet.call("box1", "ask", number=1) == "first"
        assert await fleet.call("box1", "ask", number=2) == 2
        assert await fleet.call("box1", "ask", number=3) == 3


async def test_a_huge_reply_disturbs_no_other(broker: Mosquitto) -> None:
    async def huge_for_some(call: Received) -> None:
        if call.request["method"] == "huge":
            await call.reply(b"x" * 17_000_000)
        else:
            await call.result("small")

    async with running_box(broker, "box1", huge_for_some), client(broker, deadline_s=2) as fleet:
        with pytest.raises(NoAnswer):
            await fleet.call("box1", "huge")
        assert fleet.is_connected
        assert await fleet.request("box1", "small", {}, deadline_s=20) == "small"


async def test_odd_messages_for_the_client_crash_nothing(broker: Mosquitto) -> None:
    async with running_box(broker, "box1") as box, client(broker, client="me") as fleet:
        for topic, payload in (
            ("camera-agent/replies/me", b"\xff\xfe"),
            ("camera-agent/box1/state/agent", b"\xff"),
            ("camera-agent/box1/status", b"\xff"),
            ("camera-agent/box2/state/agent", b"[" * 50_000),
        ):
            await box.client.publish(topic, payload, qos=1)
        assert await fleet.call("box1", "ping") is not None
        assert [each.id for each in await fleet.agents()] == ["box1"]


async def test_answers_of_many_come_as_they_are_ready_with_those_that_failed(broker: Mosquitto) -> None:
    gate = anyio.Event()

    async def after_the_others(call: Received) -> None:
        await gate.wait()
        await call.result("slow")

    async def refuse(call: Received) -> None:
        await call.error(-32002, "Permission denied", reason="role_too_low")

    async with AsyncExitStack() as boxes:
        for agent, answerer in (("slow", after_the_others), ("mute", silent), ("strict", refuse)):
            await boxes.enter_async_context(running_box(broker, agent, answerer))
        await boxes.enter_async_context(running_box(broker, "deaf", takes_calls=False))
        await boxes.enter_async_context(running_box(broker, "closed", limits={"calls": False}))
        async with running_box(broker, "gone"):
            pass
        async with client(broker) as fleet:
            agents = await fleet.agents()
            answers: list[Answer] = []
            async for each in fleet.call_many(agents, "ask", deadline_s=3):
                answers.append(each)
                if len(answers) == len(agents) - 2:
                    gate.set()
    *_, last_but_one, last = answers
    assert (last_but_one.agent, last_but_one.result, last.agent) == ("slow", "slow", "mute")
    reasons = {each.agent: None if each.error is None else each.error.reason for each in answers}
    assert reasons == {
        "slow": None,
        "mute": "no_answer",
        "strict": "role_too_low",
        "deaf": "not_connected",
        "closed": "calls_off",
        "gone": "offline",
    }


async def test_no_more_than_the_wanted_number_is_asked_at_a_time(broker: Mosquitto) -> None:
    under_way: set[str] = set()
    most = 0

    async def counted(call: Received) -> None:
        nonlocal most
        under_way.add(call.box.id)
        most = max(most, len(under_way))
        await anyio.lowlevel.checkpoint()
        under_way.discard(call.box.id)
        await call.result(None)

    async with AsyncExitStack() as boxes:
        for number in range(6):
            await boxes.enter_async_context(running_box(broker, f"box{number}", counted))
        async with client(broker) as fleet:
            agents = await fleet.agents()
            answers = [each async for each in fleet.call_many(agents, "ask", concurrency=2)]
    assert {each.agent for each in answers if each.error is None} == {each.id for each in agents}
    assert 1 <= most <= 2


async def test_an_error_of_the_work_with_one_agent_reaches_the_reader_of_answers(broker: Mosquitto) -> None:
    async def fail(agent: FleetAgent) -> None:
        raise OSError("the disk is full")

    async with running_box(broker, "box1"), client(broker) as fleet:
        with pytest.raises(OSError, match="the disk is full"):
            [each async for each in fleet.for_each(["box1", "box2"], fail)]
        assert await fleet.call("box1", "echo") is not None
        with pytest.raises(ValueError, match="concurrency"):
            [each async for each in fleet.call_many(["box1"], "echo", concurrency=0)]


async def test_a_reader_of_answers_may_leave_early(broker: Mosquitto) -> None:
    async with running_box(broker, "box1"), running_box(broker, "mute", silent), client(broker) as fleet:
        answers = fleet.call_many(await fleet.agents(), "ask", deadline_s=3600)
        assert (await anext(answers)).agent == "box1"
        await answers.aclose()
        assert await fleet.call("box1", "echo") is not None


async def test_a_clock_that_is_wrong_is_named(broker: Mosquitto) -> None:
    async def judge(call: Received) -> None:
        issued = datetime.fromisoformat(call.properties["issued_at"])
        assert datetime.now(UTC) - issued > timedelta(minutes=59)
        await call.error(
            -32001, "Authentication failed", reason="call_expired", details="The call has expired."
        )

    def late() -> datetime:
        return datetime.now(UTC) - timedelta(hours=1)

    async with running_box(broker, "box1", judge), client(broker, now=late) as fleet:
        with pytest.raises(ClockRefused, match="expired") as refused:
            await fleet.call("box1", "ping")
    assert "Compare the clocks" in refused.value.suggestion


async def test_without_a_key_everything_but_calls_works(broker: Mosquitto) -> None:
    async with running_box(broker, "box1"), FleetClient(broker.url) as fleet:
        assert len(await fleet.agents()) == 1
        with pytest.raises(RequestUnusable, match="need a key"):
            await fleet.call("box1", "ping")


async def test_a_call_larger_than_the_broker_takes_is_refused_before(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker", lines=("max_packet_size 2000",)) as broker:
        async with client(broker) as fleet:
            with pytest.raises(RequestUnusable, match="accepts messages of 2000 bytes"):
                await fleet.call("box1", "echo", text="x" * 2000)
            assert fleet.is_connected


async def test_two_clients_at_once_do_not_meet(broker: Mosquitto) -> None:
    async with running_box(broker, "box1"), client(broker) as one, client(broker) as other:
        assert one.name != other.name
        results: dict[str, list[Any]] = {"one": [], "other": []}

        async def ask(name: str, fleet: FleetClient) -> None:
            for number in range(50):
                answer: Any = await fleet.call("box1", name, number=number)
                results[name].append((answer["method"], answer["params"]["number"]))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "one", one)
            tasks.start_soon(ask, "other", other)
    assert results == {name: [(name, number) for number in range(50)] for name in results}


async def test_a_broker_that_is_killed_is_waited_for(broker: Mosquitto) -> None:
    async with client(broker, deadline_s=60) as fleet, fleet.watch() as events:
        async with running_box(broker, "box1") as box:
            await box.event("camera.connected", 1)
            assert (await anext(events)).sequence == 1
        await broker.kill()
        found: list[Any] = []

        async def find() -> None:
            found.append(await fleet.agents())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(find)
            await broker.start()
        assert found == [[]]  # the broker has forgotten what it kept
        async with running_box(broker, "box1") as box:
            assert await fleet.call("box1", "echo") is not None
            await box.event("camera.connected", 4)
            assert (await anext(events)).missed == 2


async def test_a_call_under_way_when_the_broker_dies_is_told_to_be_open(broker: Mosquitto) -> None:
    async def kill(call: Received) -> None:
        await broker.kill()

    async with running_box(broker, "box1", kill), client(broker, deadline_s=60) as fleet:
        with pytest.raises(CallInterrupted, match="may have taken effect"):
            await fleet.call("box1", "start_recording")
        assert not fleet.is_connected


async def test_a_call_while_there_is_no_broker_was_not_sent(broker: Mosquitto) -> None:
    async with client(broker, deadline_s=0.5) as fleet:
        await broker.kill()
        with pytest.raises(NoAnswer) as unsent:
            await fleet.call("box1", "ping")
        assert unsent.value.reason in {"interrupted", "broker_lost"}
        with pytest.raises(NoAnswer, match="was not sent") as unsent:
            await fleet.call("box1", "ping")
        assert unsent.value.reason == "broker_lost"


async def test_a_closed_client_says_so(broker: Mosquitto) -> None:
    async with client(broker) as fleet:
        pass
    with pytest.raises(BrokerUnreachable, match="closed"):
        await fleet.agents()


async def test_no_broker_is_told_at_once() -> None:
    with pytest.raises(BrokerUnreachable, match="cannot be reached"):
        async with FleetClient("mqtt://127.0.0.1:1"):
            pass


async def test_an_error_in_the_programs_own_code_comes_out_as_it_is(broker: Mosquitto) -> None:
    with pytest.raises(KeyError, match="own"):
        async with client(broker):
            raise KeyError("own")


async def test_user_and_password_come_from_a_file(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    async with running_mosquitto(tmp_path / "broker", users={"fleet": "secret"}) as broker:
        async with FleetClient(BrokerAccess(broker.url, user="fleet", password_file=password)) as fleet:
            assert await fleet.agents() == []
        password.write_text("wrong\n")
        with pytest.raises(BrokerRefused) as refused:
            async with FleetClient(BrokerAccess(broker.url, user="fleet", password_file=password)):
                pass
        assert "wrong" not in f"{refused.value} {refused.value.suggestion}".replace("password is wrong", "")
        password.chmod(0o644)
        with pytest.raises(BrokerRefused, match="read or written by all accounts"):
            async with FleetClient(BrokerAccess(broker.url, user="fleet", password_file=password)):
                pass


async def test_certificates_prove_both_ends(tmp_path: Path) -> None:
    certificates = Certificates.make(tmp_path / "tls")
    certificate, key = certificates.client
    async with running_mosquitto(tmp_path / "broker", tls=certificates, ask_certificate=True) as broker:
        url = broker.url.replace("mqtt:", "mqtts:")
        access = BrokerAccess(
            url,
            ca_file=certificates.ca,
            certificate_file=certificate,
            key_file=key,
            server_name="localhost",
        )
        async with FleetClient(access) as fleet:
            assert await fleet.agents() == []
        with pytest.raises(BrokerRefused, match="certificate"):
            async with FleetClient(BrokerAccess(url, certificate_file=certificate, key_file=key)):
                pass
        with pytest.raises((BrokerUnreachable, BrokerRefused)):
            async with FleetClient(BrokerAccess(url, ca_file=certificates.ca, server_name="localhost")):
                pass


async def test_a_client_that_may_not_write_to_its_own_topic_is_told(tmp_path: Path) -> None:
    acl = "topic read camera-agent/#\n"
    async with running_mosquitto(tmp_path / "broker", acl=acl) as broker:
        async with FleetClient(broker.url) as fleet:
            with pytest.raises(BrokerRefused, match="camera-agent/replies/fleet-"):
                await fleet.agents()


async def test_a_client_that_may_only_read_events_watches(tmp_path: Path) -> None:
    users = {"dashboard": "secret", "box": "secret"}
    acl = "user dashboard\ntopic read camera-agent/+/events/#\nuser box\ntopic readwrite #\n"
    password = tmp_path / "password"
    password.write_text("secret")
    password.chmod(0o600)
    async with running_mosquitto(tmp_path / "broker", users=users, acl=acl) as broker:
        access = BrokerAccess(broker.url, user="dashboard", password_file=password)
        async with FleetClient(access) as fleet, fleet.watch("box1") as events:
            async with watching(broker, user="box", password="secret") as box:
                value = {"boot_id": "a", "sequence": 1, "topic": "t", "params": {}}
                await box.client.publish("camera-agent/box1/events/t", json.dumps(value), qos=1)
                with anyio.fail_after(20):
                    assert (await anext(events)).topic == "t"


async def test_agents_and_events_at_a_broker_of_another_make(mochi: Path) -> None:
    async with running_mochi(mochi) as broker, watching(broker) as seen:
        for number in range(300):
            await seen.client.publish(f"camera-agent/box{number}/status", b"online", qos=1, retain=True)
        async with FleetClient(broker.url, fleet_key=FLEET_KEY) as fleet, fleet.watch() as events:
            assert len(await fleet.agents()) == 300
            assert [each.id for each in await fleet.select("box7")] == ["box7"]
            value = {"boot_id": "a", "sequence": 1, "topic": "t", "params": {}}
            await seen.client.publish("camera-agent/box7/events/t", json.dumps(value), qos=1)
            with anyio.fail_after(20):
                assert (await anext(events)).agent == "box7"

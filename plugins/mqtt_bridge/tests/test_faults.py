"""Brokers that are away, come back, hang, refuse, or are another's."""

import logging
import signal
import socket
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import DependencyFailed
from agent_core.testing import SimulatedClock
from agent_core.testing.mediamtx import free_ports
from agent_core.testing.waiting import eventually
from mqtt_bridge.broker.messages import Outgoing
from mqtt_bridge.broker.part import BrokerLost
from mqtt_bridge.broker.reasons import TAKEN_OVER

from .bridges import BridgeUnderTest, ScriptedPart, running_bridge, warnings_of, with_parts
from .broker_process import BrokerProcess
from .descriptors import open_descriptors, sockets_to
from .mochi_broker import running_mochi
from .mosquitto import Certificates, Mosquitto, running_mosquitto, watching


async def problem_of(running: BridgeUnderTest) -> str:
    """Return the first problem of the connection, in words."""

    async def look() -> str | None:
        found = running.component.problem
        return None if found is None else f"{found.reason}: {found.details} {found.suggestion}"

    return await eventually(look)


async def test_a_broker_that_is_absent_at_boot_is_a_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    port, part = free_ports()[0], ScriptedPart()
    async with running_bridge(
        tmp_path / "state", url=f"mqtt://127.0.0.1:{port}", parts=with_parts(part)
    ) as running:
        assert "cannot be reached: Connection refused" in await problem_of(running)
        async with running_mosquitto(tmp_path / "broker", port=port):
            await part.wait_online()
            assert running.component.problem is None
    lost, back = warnings_of(caplog)[:2]
    assert "cannot be reached" in lost
    assert back == f"Connected to the MQTT broker mqtt://127.0.0.1:{port} as box"


async def test_hours_without_a_broker_leave_one_line_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock, port = SimulatedClock(), free_ports()[0]
    tried: list[int] = []
    async with running_bridge(
        tmp_path, url=f"mqtt://127.0.0.1:{port}", clock=clock, parts=with_parts()
    ) as running:
        retained = running.bridge.retained
        await problem_of(running)
        for turn in range(400):
            retained.set("t", Outgoing("t", b"%d" % turn))
            await eventually(partial(has_slept, clock, turn + 1))
            await clock.advance(60)
            tried.append(open_descriptors())
        assert tried[-1] <= tried[0]
        assert len(retained._wanted) == 1
    assert len(warnings_of(caplog)) == 1


async def has_slept(clock: SimulatedClock, times: int) -> bool:
    return len(clock.sleeps) >= times


async def test_a_killed_broker_is_lost_and_found_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)) as running:
            topics, retained = running.bridge.topics, running.bridge.retained
            retained.set(topics.agent_state, Outgoing("", b"before"))
            publisher = await part.wait_online()
            await broker.kill()
            await part.wait_offline()
            assert "has closed the connection" in await problem_of(running)
            with pytest.raises(BrokerLost):
                await publisher.publish(Outgoing("x", b""))
            retained.set(topics.agent_state, Outgoing("", b"after"))
            await broker.start()
            await part.wait_online(2)
            async with watching(broker, "camera-agent/#") as seen:
                await seen.until(
                    lambda: seen.last(topics.status) == b"online" and bool(seen.of(topics.agent_state))
                )
                assert seen.of(topics.agent_state) == [b"after"]
    first, lost, back = warnings_of(caplog)
    assert first == back
    assert "closed" in lost


async def test_a_publisher_that_waits_learns_that_the_broker_is_lost(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)):
            publisher = await part.wait_online()
            broker.signal(signal.SIGSTOP)
            lost = 0

            async def publish() -> None:
                nonlocal lost
                try:
                    await publisher.publish(Outgoing("x", b"y" * 100_000))
                except BrokerLost:
                    lost += 1

            async with anyio.create_task_group() as tasks:
                for _ in range(40):
                    tasks.start_soon(publish)
                await anyio.wait_all_tasks_blocked()
                assert lost == 0
                await broker.kill()
            assert lost == 40


async def test_a_silent_broker_is_lost_after_the_keep_alive(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with running_bridge(
            tmp_path / "state", url=broker.url, parts=with_parts(part), keep_alive_s=1
        ) as running:
            await part.wait_online()
            broker.signal(signal.SIGSTOP)
            await part.wait_offline()
            assert "does not answer any more" in await problem_of(running)
            broker.signal(signal.SIGCONT)
            await part.wait_online(2)


async def test_the_real_socket_sends_small_packets_at_once(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)):
            await part.wait_online()
            assert [is_at_once(each) for each in sockets_to(broker.port)] == [True]


def is_at_once(descriptor: int) -> bool:
    with socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_STREAM) as copy:
        return copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_ipv6(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker", host="::1") as broker:
        assert broker.url.startswith("mqtt://[::1]:")
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)):
            await part.wait_online()


async def test_a_name_with_several_addresses_finds_the_one_that_listens(tmp_path: Path) -> None:
    part = ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker:
        url = f"mqtt://localhost:{broker.port}"
        async with running_bridge(tmp_path / "state", url=url, parts=with_parts(part)):
            await part.wait_online()


async def test_a_host_without_a_name_server_is_told(tmp_path: Path) -> None:
    async with running_bridge(tmp_path, url="mqtt://no-such-host.invalid", parts=with_parts()) as running:
        assert "The host of the MQTT broker, no-such-host.invalid, is not found" in await problem_of(running)


async def test_a_user_with_a_password_file(tmp_path: Path) -> None:
    part, password = ScriptedPart(), tmp_path / "password"
    password.write_text("correct horse\n")
    password.chmod(0o640)
    async with running_mosquitto(tmp_path / "broker", users={"box": "correct horse"}) as broker:
        who: dict[str, Any] = {"url": broker.url, "user": "box", "password_file": password}
        async with running_bridge(tmp_path / "state", parts=with_parts(part), **who):
            await part.wait_online()


@pytest.mark.parametrize("content", ["wrong horse", None])
async def test_a_wrong_password_is_told_without_it(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    password = tmp_path / "password"
    if content is not None:
        password.write_text(content)
        password.chmod(0o600)
    who: dict[str, Any] = {"user": "box", "password_file": password} if content else {}
    async with running_mosquitto(tmp_path / "broker", users={"box": "correct horse"}) as broker:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(), **who) as running:
            problem = await problem_of(running)
    assert "refuses the connection" in problem
    assert "user and password_file" in problem
    assert "horse" not in problem + caplog.text


async def test_a_password_file_that_everyone_can_read_is_refused(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse")
    password.chmod(0o644)
    who: dict[str, Any] = {"url": "mqtt://127.0.0.1:9", "user": "box", "password_file": password}
    async with running_bridge(tmp_path / "state", parts=with_parts(), **who) as running:
        problem = await problem_of(running)
        assert "can be read or written by all accounts" in problem
        password.chmod(0o600)
        password.write_bytes(b"\xff")


async def test_access_list_refuses_topics_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    acl = "topic readwrite camera-agent/box/status\ntopic read camera-agent/box/#\ntopic write allowed/#\ntopic read allowed/#\n"
    part = ScriptedPart()
    async with (
        running_mosquitto(tmp_path / "broker", acl=acl) as broker,
        watching(broker, "allowed/#") as seen,
    ):
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)) as running:
            publisher = await part.wait_online()
            for _ in range(3):
                await publisher.publish(Outgoing("forbidden/1", b"secret"))
            await publisher.publish(Outgoing("allowed/1", b"fine"))
            await seen.until(lambda: seen.last("allowed/1") == b"fine")
            assert running.bridge.status.dropped == 3
            assert running.bridge.status.is_connected
    told = [each for each in warnings_of(caplog) if "forbidden/1" in each]
    assert len(told) == 1
    assert told[0].endswith("it does not authorise it; allow it in the broker's access list.")


async def test_a_message_too_large_for_the_broker_is_dropped_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part, lines = ScriptedPart(), ("max_packet_size 2000",)
    async with running_mosquitto(tmp_path / "broker", lines=lines) as broker, watching(broker, "t/#") as seen:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)) as running:
            publisher = await part.wait_online()
            for size in (5000, 5001, 1000):
                await publisher.publish(Outgoing("t/1", b"x" * size))
            await seen.until(lambda: bool(seen.messages))
            assert [len(each) for each in seen.of("t/1")] == [1000]
            assert running.bridge.status.connections == 1
            assert running.bridge.status.dropped == 2
    (told,) = [each for each in warnings_of(caplog) if "t/1" in each]
    assert "accepts 2000 bytes" in told


async def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    part, made = ScriptedPart(), Certificates.make(tmp_path / "tls")
    certificate, key = made.client
    tls = {"ca_file": made.ca, "certificate_file": certificate, "key_file": key}
    async with running_mosquitto(tmp_path / "broker", tls=made, ask_certificate=True) as broker:
        url = f"mqtts://localhost:{broker.port}"
        async with running_bridge(tmp_path / "state", url=url, tls=tls, parts=with_parts(part)):
            publisher = await part.wait_online()
            await publisher.publish(Outgoing("x", b"y" * 1_000_000))


@pytest.mark.parametrize(
    ("scheme", "host", "with_authority", "with_own", "told"),
    [
        ("mqtts", "localhost", False, True, "certificate of the MQTT broker is not valid for localhost"),
        ("mqtts", "127.0.0.1", True, True, "is not valid for 127.0.0.1"),
        ("mqtts", "localhost", True, False, "certificate required"),
        ("mqtt", "localhost", False, False, "if the port needs mqtts://"),
    ],
)
async def test_tls_that_does_not_fit_is_told(
    tmp_path: Path, scheme: str, host: str, with_authority: bool, with_own: bool, told: str
) -> None:
    made = Certificates.make(tmp_path / "tls")
    certificate, key = made.client
    tls = {"ca_file": made.ca} if with_authority else {}
    tls |= {"certificate_file": certificate, "key_file": key} if with_own else {}
    async with running_mosquitto(tmp_path / "broker", tls=made, ask_certificate=True) as broker:
        url = f"{scheme}://{host}:{broker.port}"
        async with running_bridge(tmp_path / "state", url=url, tls=tls, parts=with_parts()) as running:
            assert told in await problem_of(running)


async def test_the_certificate_may_have_another_name(tmp_path: Path) -> None:
    part, made = ScriptedPart(), Certificates.make(tmp_path / "tls")
    tls = {"ca_file": made.ca, "server_name": "localhost"}
    async with running_mosquitto(tmp_path / "broker", tls=made) as broker:
        url = f"mqtts://127.0.0.1:{broker.port}"
        async with running_bridge(tmp_path / "state", url=url, tls=tls, parts=with_parts(part)):
            await part.wait_online()


async def test_two_agents_with_one_id_are_told_although_the_broker_says_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = ScriptedPart(), ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with running_bridge(tmp_path / "one", url=broker.url, parts=with_parts(first)) as one:
            await first.wait_online()
            async with running_bridge(tmp_path / "two", url=broker.url, parts=with_parts(second)):
                await second.wait_online()
                await first.wait_online(2)

                async def taken() -> DependencyFailed | None:
                    found = one.component.problem
                    return found if found is not None and found.reason == TAKEN_OVER else None

                problem = await eventually(taken)
    assert "another client with the same id" in problem.details
    assert "Give each agent an id of its own" in problem.suggestion
    assert "another client with the same id" in caplog.text


async def test_what_went_while_the_agent_was_off_is_cleared_by_the_next_run(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker:
        await leave_and_return(tmp_path, broker)


async def test_what_went_is_cleared_at_a_broker_of_another_make(tmp_path: Path, mochi: Path) -> None:
    async with running_mochi(mochi) as broker:
        await leave_and_return(tmp_path, broker)


async def leave_and_return(folder: Path, broker: BrokerProcess) -> None:
    async with running_bridge(folder / "state", url=broker.url, parts=with_parts()) as running:
        topics, retained = running.bridge.topics, running.bridge.retained
        for camera in ("camera1", "camera2"):
            retained.set(topics.camera(camera), Outgoing("", b"there"))
        async with watching(broker, "camera-agent/#") as seen:
            await seen.until(lambda: seen.last(topics.status) == b"online" and len(seen.messages) == 3)
    clock = SimulatedClock()
    async with watching(broker, "camera-agent/#") as seen:
        async with running_bridge(
            folder / "state", url=broker.url, parts=with_parts(), clock=clock
        ) as running:
            running.bridge.retained.set(topics.camera("camera2"), Outgoing("", b"still there"))
            await seen.until(lambda: seen.last(topics.status) == b"online")
            await clock.advance(60)
            await seen.until(lambda: seen.last(topics.camera("camera1")) == b"")
    async with watching(broker, "camera-agent/#") as later:
        await later.until(lambda: len(later.messages) == 2)
        assert {each.topic.value: each.payload for each in later.messages} == {
            topics.status: b"offline",
            topics.camera("camera2"): b"still there",
        }


async def test_own_messages_come_back_only_while_the_broker_tells_what_it_has_kept(tmp_path: Path) -> None:
    clock = SimulatedClock()
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "camera-agent/#") as seen:
        async with running_bridge(
            tmp_path / "state", url=broker.url, parts=with_parts(), clock=clock
        ) as running:
            await seen.until(lambda: seen.last(running.bridge.topics.status) == b"online")
            await clock.advance(60)
            await eventually(partial(says, broker, "Received UNSUBSCRIBE from box"))
            running.bridge.retained.set(running.bridge.topics.health, Outgoing("", b"fine"))
            await seen.until(lambda: seen.last(running.bridge.topics.health) == b"fine")
        sent = [each for each in broker.log.splitlines() if "Sending PUBLISH to box" in each]
        assert all("camera-agent/box/status" in each for each in sent)


async def says(broker: Mosquitto, words: str) -> bool:
    return words in broker.log


async def test_a_broker_of_another_make(tmp_path: Path, mochi: Path) -> None:
    part = ScriptedPart("camera-agent/box/call")
    async with running_mochi(mochi) as broker, watching(broker, "camera-agent/#") as seen:
        async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)) as running:
            topics = running.bridge.topics
            running.bridge.retained.set(
                topics.agent_state, Outgoing("", b"{}", content_type="application/json")
            )
            await seen.until(lambda: seen.last(topics.status) == b"online")
            await seen.client.publish(topics.calls, b"1", qos=1)
            assert [each.payload for each in await part.wait_messages(1)] == [b"1"]
            await broker.kill()
            await part.wait_offline()
            await broker.start()
            await part.wait_online(2)
        async with watching(broker, "camera-agent/#") as later:
            await later.until(lambda: later.last(topics.status) == b"offline")

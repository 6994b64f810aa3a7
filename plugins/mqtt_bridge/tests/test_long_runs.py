"""Runs of a thousand connections, over changes of the clock, and to an end without a farewell."""

import logging
import signal
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent_core.testing import SimulatedClock
from agent_core.testing.waiting import eventually
from mqtt_bridge.broker.messages import Outgoing
from tests.e2e.conftest import AgentProcessFactory

from .bridges import ScriptedPart, running_bridge, warnings_of, with_parts
from .descriptors import open_descriptors, threads
from .hostile import CONNECT, SUBSCRIBE, Conversation, HostileBroker, connack, hostile_broker, suback
from .mosquitto import running_mosquitto, watching

#: Ends of a connection, by the way in which the broker makes them.
ENDS = 4


class HastyClock(SimulatedClock):
    """Clock on which every pause has passed at once."""

    async def sleep(self, duration_s: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.jump(duration_s)


async def came(broker: HostileBroker, clients: int) -> bool:
    return broker.clients >= clients


@pytest.mark.timeout(120)
async def test_a_thousand_connections_leave_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock, turn = HastyClock(), 0

    async def script(client: Conversation) -> None:
        nonlocal turn
        turn += 1
        if turn % ENDS == 0:
            return
        await client.read_kind(CONNECT)
        if turn % ENDS == 1:
            await client.send(connack(0x88))
            return
        await client.send(connack())
        if turn % ENDS == 2:
            await client.send(b"\xff\xff\xff\xff\xff")
            return
        body = await client.read_kind(SUBSCRIBE)
        await client.send(suback(int.from_bytes(body[:2]), b"\1\1"))

    async with hostile_broker(script) as broker:
        async with running_bridge(tmp_path, url=broker.url, parts=with_parts(), clock=clock) as running:
            running.bridge.retained.set("t", Outgoing("t", b"x" * 1000))
            await eventually(partial(came, broker, 20))
            first = open_descriptors(), threads()
            await eventually(partial(came, broker, 1000), timeout_s=90)
            assert open_descriptors() <= first[0] + 2
            assert threads() <= first[1] + 1
    assert len(warnings_of(caplog)) <= 10


async def test_changes_of_the_wall_clock_change_nothing(tmp_path: Path) -> None:
    clock, part = SimulatedClock(), ScriptedPart()
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "camera-agent/#") as seen:
        async with running_bridge(
            tmp_path / "state", url=broker.url, parts=with_parts(part), clock=clock
        ) as running:
            topics, retained = running.bridge.topics, running.bridge.retained
            await part.wait_online()
            for step_s in (-86_400 * 3650, 86_400 * 7300, -1):
                clock.step_wall_clock(step_s)
                payload = b"%d" % step_s
                retained.set(topics.health, Outgoing("", payload))
                await clock.advance(2)
                await seen.until(lambda payload=payload: seen.last(topics.health) == payload)  # type: ignore[misc]
            assert part.connections == 1


def configuration(url: str) -> str:
    return f"""
[plugins]
enabled = ["virtual_camera", "mqtt_bridge"]
[plugins.mqtt_bridge]
url = "{url}"
agent_id = "box"
reconnect_spread_s = 0.5
"""


async def test_the_will_is_published_after_the_agent_was_killed(
    tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "camera-agent/#") as seen:
        async with agent_process(configuration(broker.url)) as agent:
            status = "camera-agent/box/status"
            await seen.until(lambda: seen.last(status) == b"online")
            agent.process.send_signal(signal.SIGKILL)
            await seen.until(lambda: seen.last(status) == b"offline")


async def test_the_status_tells_of_a_broker_that_is_away_and_of_one_that_is_there(
    tmp_path: Path, agent_process: AgentProcessFactory
) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with (
            agent_process(configuration(broker.url)) as agent,
            agent.client("admin", ready=False) as client,
        ):

            async def problems() -> list[str]:
                answer = await client.call("get_system_status")
                return [each["reason"] for each in answer["problems"] if each["reason"].startswith("mqtt_")]

            async def works() -> bool:
                return not await problems()

            await eventually(works)
            components = (await client.call("get_status"))["components"]
            assert components["mqtt_bridge"] == "RUNNING"
            await broker.kill()
            assert {*await eventually(problems)} <= {"mqtt_closed", "mqtt_unreachable"}
            assert (await client.call("get_status"))["components"]["mqtt_bridge"] == "RUNNING"
            await broker.start()
            await eventually(works)
            agent.process.send_signal(signal.SIGTERM)
            await agent.process.wait()
        async with watching(broker, "camera-agent/#") as later:
            await later.until(lambda: later.last("camera-agent/box/status") == b"offline")

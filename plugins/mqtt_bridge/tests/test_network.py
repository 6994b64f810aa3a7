"""Networks that lose packets or are slow."""

import logging
from pathlib import Path

import anyio
import pytest

from agent_core.testing.mediamtx import free_ports
from agent_core.testing.waiting import eventually
from mqtt_bridge.broker.messages import Outgoing

from .bridges import ScriptedPart, running_bridge, warnings_of, with_parts
from .mosquitto import running_mosquitto, watching
from .wire import wired


async def test_lost_packets_end_the_connection_and_the_state_is_right_afterwards(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    part, port = ScriptedPart(), free_ports()[0]
    with wired() as wire:
        host, launcher = wire.broker_address, wire.broker.command()
        async with running_mosquitto(tmp_path / "broker", host=host, port=port, launcher=launcher) as broker:
            async with running_bridge(
                tmp_path / "state",
                url=broker.url,
                parts=with_parts(part),
                keep_alive_s=1,
                connect_timeout_s=1,
                reconnect_spread_s=0.5,
            ) as running:
                topics, retained = running.bridge.topics, running.bridge.retained
                retained.set(topics.health, Outgoing("", b"before"))
                await part.wait_online()
                wire.unplug()
                retained.set(topics.health, Outgoing("", b"meanwhile"))
                await part.wait_offline()

                async def is_unanswered() -> bool:
                    found = running.component.problem
                    return found is not None and found.reason == "mqtt_timeout"

                await eventually(is_unanswered)
                retained.set(topics.health, Outgoing("", b"after"))
                wire.plug()
                await part.wait_online(2)
                async with watching(broker, "camera-agent/#") as seen:
                    await seen.until(lambda: seen.last(topics.health) == b"after")
                    await seen.until(lambda: seen.last(topics.status) == b"online")
                    assert b"meanwhile" not in seen.of(topics.health)
    lost = [each for each in warnings_of(caplog) if not each.startswith("Connected")]
    assert [each.split(". ")[0] for each in lost] == [
        "The MQTT broker does not answer any more",
        f"The MQTT broker {broker.url} does not answer in time",
    ]


async def test_the_will_is_published_when_packets_are_lost(tmp_path: Path) -> None:
    part, port = ScriptedPart(), free_ports()[0]
    with wired() as wire:
        host, launcher = wire.broker_address, wire.broker.command()
        async with running_mosquitto(tmp_path / "broker", host=host, port=port, launcher=launcher) as broker:
            async with running_bridge(
                tmp_path / "state",
                url=broker.url,
                parts=with_parts(part),
                keep_alive_s=1,
                reconnect_spread_s=60,
            ) as running:
                await part.wait_online()
                wire.unplug()

                async def gave_up() -> bool:
                    return "has exceeded timeout, disconnecting" in broker.log

                await eventually(gave_up)
                wire.plug()
                async with watching(broker, running.bridge.topics.status) as seen:
                    await seen.until(lambda: b"offline" in seen.of(running.bridge.topics.status))


async def test_the_end_of_the_agent_does_not_wait_for_lost_packets(tmp_path: Path) -> None:
    part, port = ScriptedPart(), free_ports()[0]
    with wired() as wire:
        host, launcher = wire.broker_address, wire.broker.command()
        async with running_mosquitto(tmp_path / "broker", host=host, port=port, launcher=launcher) as broker:
            with anyio.fail_after(20):
                async with running_bridge(tmp_path / "state", url=broker.url, parts=with_parts(part)):
                    await part.wait_online()
                    wire.unplug()


async def test_a_slow_network_slows_publishers_down_and_loses_nothing(tmp_path: Path) -> None:
    part, port = ScriptedPart(), free_ports()[0]
    with wired() as wire:
        host, launcher = wire.broker_address, wire.broker.command()
        async with running_mosquitto(tmp_path / "broker", host=host, port=port, launcher=launcher) as broker:
            async with watching(broker, "t/#") as seen:
                async with running_bridge(
                    tmp_path / "state", url=broker.url, parts=with_parts(part)
                ) as running:
                    publisher = await part.wait_online()
                    wire.slow_down(4000)
                    done = 0

                    async def publish(number: int) -> None:
                        nonlocal done
                        await publisher.publish(Outgoing(f"t/{number}", b"x" * 30_000))
                        done += 1

                    async with anyio.create_task_group() as tasks:
                        for number in range(40):
                            tasks.start_soon(publish, number)
                        await anyio.wait_all_tasks_blocked()
                        assert done < 40
                    await seen.until(lambda: len(seen.messages) == 40)
                    assert running.bridge.status.connections == 1
    assert {each.topic.value for each in seen.messages} == {f"t/{number}" for number in range(40)}

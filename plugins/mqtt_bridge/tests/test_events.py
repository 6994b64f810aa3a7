"""Events at a real Mosquitto whose connections break at any moment: each arrives at least once, in order."""

import json
import random
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.lowlevel import checkpoint
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from agent_core.testing.waiting import eventually
from mqtt_bridge.settings import MqttBridgeSettings

from .boxes import Box, HurriedClock, running_box
from .gate import Gate, open_gate
from .mosquitto import Mosquitto, running_mosquitto

FILTER = "camera-agent/box/events/#"
TOPIC = "snapshot.taken"


def unique(messages: Sequence[bytes]) -> list[int]:
    """Return the numbers of the received events without repetitions, which may only be of the last one."""
    numbers = [json.loads(each)["sequence"] for each in messages]
    return [each for index, each in enumerate(numbers) if index == 0 or numbers[index - 1] != each]


async def publish_many(box: Box, count: int, seed: int) -> None:
    """Publish events in bursts with pauses in between."""
    chance = random.Random(seed)
    for number in range(count):
        box.sessions.publish(TOPIC, {"device": "camera0", "number": number})
        if chance.random() < 0.2:
            await anyio.sleep(chance.uniform(0, 0.02))


@asynccontextmanager
async def flowing(folder: Path, gate: Gate, **events: Any) -> AsyncIterator[Box]:
    settings = {"per_s": 5000.0, "kept": 10_000, **events}
    async with running_box(folder, HurriedClock(40), url=gate.url, events=settings) as (box, _):
        yield box


async def test_events_over_cut_connections_and_lost_acknowledgements(tmp_path: Path) -> None:
    chance = random.Random(19)
    async with (
        running_mosquitto(tmp_path / "broker") as broker,
        open_gate(broker.port) as gate,
        flowing(tmp_path / "box", gate) as box,
        anyio.create_task_group() as tasks,
    ):
        with receiving(broker) as received:
            tasks.start_soon(publish_many, box, 800, 1)
            for round_ in range(1, 9):
                await arrived(received, 80 * round_)
                gate.swallows = chance.random() < 0.5
                await anyio.sleep(chance.uniform(0, 0.01))
                gate.cut()
                gate.swallows = False
            await arrived(received, 800)
    assert unique(received) == list(range(1, 801))
    assert len(received) > 800, "no acknowledgement was lost, so this has tried nothing"


async def test_events_over_kills_of_the_broker(tmp_path: Path) -> None:
    received: list[bytes] = []
    async with (
        running_mosquitto(tmp_path / "broker") as broker,
        open_gate(broker.port) as gate,
        flowing(tmp_path / "box", gate) as box,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(publish_many, box, 400, 2)
        for wanted in (60, 160, 260):
            # The gate stays closed until the receiver has subscribed: the broker tells it of nothing that came before.
            with receiving(broker) as found:
                gate.is_open = True
                await arrived(found, wanted)
                gate.is_open = False
                await broker.kill()
            received += found
            await broker.start()
        with receiving(broker) as found:
            gate.is_open = True
            await arrived(found, 400)
        received += found
    assert unique(received) == list(range(1, 401))


@contextmanager
def receiving(broker: Mosquitto) -> Iterator[list[bytes]]:
    """Give the payloads that a receiver gets, all of which are there at the end.

    With QoS 0, all that the broker has acknowledged to the bridge is in the receiver's socket before. With QoS 1 the broker
    keeps messages back while the receiver has acknowledged too few, and a kill loses them; and the receiver gives up its socket
    when it cannot acknowledge.
    """
    received: list[bytes] = []
    subscribed, ended = threading.Event(), threading.Event()
    client = Client(
        CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5, reconnect_on_failure=False
    )

    @client.connect_callback()
    def subscribe(*_: Any) -> None:
        client.subscribe(FILTER, qos=0)

    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: received.append(bytes(message.payload))
    client.on_disconnect = lambda *_: ended.set()
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert subscribed.wait(20)
    yield received
    client.disconnect()
    assert ended.wait(20)
    client.loop_stop()


async def arrived(received: list[bytes], number: int) -> None:
    """Wait until the event with a number, or a later one, has arrived."""

    async def has_arrived() -> bool:
        return bool(received) and json.loads(received[-1])["sequence"] >= number

    await eventually(has_arrived, timeout_s=40)


async def test_what_did_not_fit_while_the_broker_was_away_is_told_before_the_rest(tmp_path: Path) -> None:
    async with (
        running_mosquitto(tmp_path / "broker") as broker,
        open_gate(broker.port) as gate,
    ):
        gate.is_open = False
        async with flowing(tmp_path / "box", gate, kept=50) as box:
            with receiving(broker) as received:
                for number in range(500):
                    box.sessions.publish(TOPIC, {"device": "camera0", "number": number})
                    await checkpoint()
                await anyio.wait_all_tasks_blocked()
                gate.is_open = True
                await arrived(received, 500)
    position = 0
    for message in map(json.loads, received):
        if message["topic"] == "system.events_dropped":
            told = message["params"]
            assert (told["reason"], told["after"], told["count"]) == (
                "outbox_full",
                position,
                message["sequence"] - position,
            )
        else:
            assert message["sequence"] in {position, position + 1}  # that before the break may come again
        position = message["sequence"]
    assert position == 500
    assert json.loads(received[0])["topic"] == "system.events_dropped"


async def test_events_outlive_a_change_of_the_settings(tmp_path: Path) -> None:
    async with (
        running_mosquitto(tmp_path / "broker") as broker,
        open_gate(broker.port) as gate,
    ):
        settings: dict[str, Any] = {"url": gate.url, "events": {"per_s": 5000.0}}
        async with running_box(tmp_path / "box", HurriedClock(40), **settings) as (box, component):
            with receiving(broker) as received:
                for number in range(1, 61):
                    box.sessions.publish(TOPIC, {"device": "camera0"})
                    if number % 20 == 0:
                        if number == 20:
                            await arrived(received, 20)
                        changed = settings | {"agent_id": "box", "name": f"Box {number}"}
                        component.configure(MqttBridgeSettings.model_validate(changed))
                        await anyio.sleep(0.01 * (number == 40))
                await arrived(received, 60)
    assert unique(received) == list(range(1, 61))
    assert len(received) < 60 + 3, "events were sent again because the settings changed"

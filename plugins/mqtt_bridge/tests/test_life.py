"""What the broker keeps over the lives of agents and their cameras."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

from agent_core.plugin.processes import child

from .agents import ROOT, bridged_agent, state_of
from .boxes import HurriedClock, running_box
from .gate import open_gate
from .mosquitto import Mosquitto, Seen, running_mosquitto, watching

CAMERA1 = {f"{ROOT}/state/cameras/camera1", f"{ROOT}/state/recordings/camera1"}


async def kept_by(broker: Mosquitto) -> set[str]:
    """Return the topics below the agent that the broker keeps."""
    async with watching(broker, f"{ROOT}/#", "end/#") as seen:
        # Kept messages come before later ones.
        await seen.client.publish("end/of/kept", b"", qos=1)
        await seen.until(lambda: bool(seen.of("end/of/kept")))
        return {each.topic.value for each in seen.messages if each.retain}


async def test_a_camera_that_was_forgotten_while_the_agent_was_off_is_cleared(tmp_path: Path) -> None:
    clock = HurriedClock(40)
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, f"{ROOT}/#") as seen:
        async with running_box(tmp_path / "box", clock, url=broker.url) as (box, _):
            await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
            box.set_camera("camera1", "CONNECTED")
            await seen.until(lambda: state_of(seen, "recordings", "camera1") is not None)
        assert await kept_by(broker) >= CAMERA1
        async with running_box(tmp_path / "box", clock, url=broker.url):  # has camera0 alone
            await seen.until(
                lambda: {each.topic.value for each in seen.messages if not each.payload} == CAMERA1
            )
            left = {*map(f"{ROOT}/".__add__, ("status", "state/agent", "state/health"))}
            left |= {f"{ROOT}/state/cameras/camera0", f"{ROOT}/state/recordings/camera0"}
            assert await kept_by(broker) == left


async def test_a_camera_that_was_forgotten_while_the_broker_was_off_is_cleared(tmp_path: Path) -> None:
    clock = HurriedClock(40)
    async with running_mosquitto(tmp_path / "broker", persistent=True) as broker:
        async with running_box(tmp_path / "box", clock, url=broker.url) as (box, _):
            box.set_camera("camera1", "CONNECTED")
            async with watching(broker, f"{ROOT}/#") as seen:
                await seen.until(lambda: state_of(seen, "recordings", "camera1") is not None)
                await seen.until(lambda: state_of(seen, "cameras", "camera1") is not None)
            broker.signal(signal.SIGTERM)
            await broker.stop()
            box.set_camera("camera1", None)
            await broker.start()
            with anyio.fail_after(30):
                while await kept_by(broker) & CAMERA1:
                    await anyio.sleep(0.05)
            assert f"{ROOT}/state/cameras/camera0" in await kept_by(broker)


async def test_a_status_that_others_have_written_is_corrected(tmp_path: Path) -> None:
    status = f"{ROOT}/status"
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, f"{ROOT}/#") as seen:
        async with running_box(tmp_path / "box", HurriedClock(40), url=broker.url):
            await seen.until(lambda: seen.last(status) == b"online")
            for payload in (b"offline", b""):
                await seen.client.publish(status, payload, qos=1, retain=True)
                await seen.until(lambda: seen.of(status)[-2:] == [payload, b"online"])  # noqa: B023
            assert status in await kept_by(broker)
        await seen.until(lambda: seen.last(status) == b"offline")


async def test_a_killed_agent_is_offline_and_its_next_start_begins_its_numbers_anew(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, f"{ROOT}/#") as seen:
        boots: list[str] = []
        for _ in range(2):
            async with agent_process(broker, tmp_path / "agent") as process:
                await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
                await seen.until(lambda: bool(_startups(seen)[len(boots) :]))
                process.send_signal(signal.SIGKILL)
                await seen.until(lambda: seen.last(f"{ROOT}/status") == b"offline")
            boots.append(_startups(seen)[-1])
            numbers = [each["sequence"] for each in _events(seen) if each["boot_id"] == boots[-1]]
            assert numbers == sorted(numbers)
            assert numbers[0] < 10
            shown = state_of(seen, "agent")
            assert shown is not None
            assert shown["boot_id"] == boots[-1]
    assert boots[0] != boots[1]


def _events(seen: Seen) -> list[dict[str, Any]]:
    found = [each for each in seen.messages if "/events/" in each.topic.value]
    return [json.loads(bytes(each.payload)) for each in found]


def _startups(seen: Seen) -> list[str]:
    return [each["boot_id"] for each in _events(seen) if each["topic"] == "system.startup"]


@asynccontextmanager
async def agent_process(broker: Mosquitto, folder: Path) -> AsyncIterator[Process]:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(
        f"""[storage]
state_dir = "{folder}/state"
runtime_dir = "{folder}/run"
[plugins]
enabled = ["virtual_camera", "mqtt_bridge"]
[plugins.mqtt_bridge]
url = "{broker.url}"
agent_id = "box"
"""
    )
    argv = [sys.executable, "-m", "agent_core", "run", "--config", str(folder / "config.toml")]
    environment = {**os.environ, "CAMERA_AGENT__SERVER__PORT": "0"}
    async with child(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        yield process


async def test_an_agent_whose_broker_comes_later_tells_of_its_start(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker, open_gate(broker.port) as gate:
        gate.is_open = False
        async with bridged_agent(gate.url, tmp_path / "agent"):
            async with watching(broker, f"{ROOT}/#") as seen:
                gate.is_open = True
                await seen.until(lambda: bool(_startups(seen)))
                await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
                numbers = [each["sequence"] for each in _events(seen)]
    assert numbers == sorted(numbers)

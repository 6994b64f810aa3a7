"""Descriptions in Home Assistant itself, in an environment of its own: `make home-assistant`."""

import json
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from agent_core.plugin.ffmpeg import locate
from agent_core.plugin.processes import child
from agent_core.testing import RunningAgent
from agent_core.testing.waiting import eventually
from plugins.mqtt_bridge.tests.agents import bridged_agent, set_fault
from plugins.mqtt_bridge.tests.mosquitto import Mosquitto, running_mosquitto

from .accepted import FACTS
from .described import described

ROOT = Path(__file__).parents[4]
INSIDE = Path(__file__).parent / "inside"

pytestmark = pytest.mark.release


@pytest.fixture(scope="module")
def python() -> Path:
    """Python that has Home Assistant."""
    found = ROOT / ".cache/homeassistant"
    if not (found / ".installed").exists():
        pytest.skip("Home Assistant is not installed: make home-assistant")
    return found / "bin/python"


def asked(python: Path, script: str, payloads: Mapping[str, Any]) -> Any:
    done = subprocess.run(
        [python, INSIDE / script],
        input=json.dumps(payloads),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_recorded_facts_are_those_of_home_assistant(python: Path) -> None:
    assert asked(python, "facts.py", {}) == FACTS


def test_its_schemas_accept_each_description(python: Path) -> None:
    assert asked(python, "validate.py", described()) == {}


def test_its_schemas_refuse_what_is_wrong(python: Path) -> None:
    topic, payload = next(iter(described().items()))
    faults = asked(python, "validate.py", {topic: {**payload, "device_class": "odd", "colour": "red"}})
    assert "device_class" in faults[topic]


class Hub:
    """Home Assistant that runs, with its MQTT integration at a broker."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._process = process
        self._lines = TextReceiveStream(process.stdout)
        self._rest = ""

    async def ask(self, question: str) -> Any:
        """Return the answer of `inside/whole.py`."""
        assert self._process.stdin is not None
        await self._process.stdin.send(f"{question}\n".encode())
        while "\n" not in self._rest:
            self._rest += await self._lines.receive()
        answer, _, self._rest = self._rest.partition("\n")
        return json.loads(answer)

    async def entity(self, name: str) -> dict[str, Any]:
        """Return an entity of the agent `box`; without it, an empty one."""
        found: dict[str, Any] = (await self.ask("states")).get(f"camera-agent/box/{name}", {})
        return found

    async def until(self, name: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until an entity fulfils a condition."""

        async def fulfilled() -> dict[str, Any] | None:
            found = await self.entity(name)
            return found if found and condition(found) else None

        return await eventually(fulfilled, timeout_s=40, every_s=0.2)

    async def until_state(self, name: str, state: str) -> dict[str, Any]:
        return await self.until(name, lambda found: found["state"] == state)


@asynccontextmanager
async def running_hub(python: Path, broker: Mosquitto, folder: Path) -> AsyncIterator[Hub]:
    words = [str(python), str(INSIDE / "whole.py"), str(folder), str(broker.port)]
    with (folder.parent / "hub.log").open("wb") as log:
        async with child(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.fileno()
        ) as process:
            yield Hub(process)


@pytest.mark.timeout(300)
async def test_home_assistant_shows_and_switches_the_cameras(python: Path, tmp_path: Path) -> None:
    if locate(None) is None:
        pytest.skip("needs FFmpeg")
    settings: dict[str, Any] = {
        "home_assistant": {"enabled": True, "control": True},
        "pictures": {"interval_s": 1, "retain": True},
        "state": {"min_interval_s": 0},
    }
    async with (
        running_mosquitto(tmp_path / "broker") as broker,
        running_hub(python, broker, tmp_path / "hub") as hub,
    ):
        async with bridged_agent(broker.url, tmp_path / "agent", cameras=2, media=True, **settings) as agent:
            await _shows_the_devices(hub)
            await _follows_the_cameras(hub, agent)
            await _carries_commands_out(hub, agent)
        await hub.until_state("camera0/status", "unavailable")
        await hub.until_state("connected", "off")
        before = (await hub.entity("camera0/status"))["entity_id"]
        async with bridged_agent(broker.url, tmp_path / "agent", cameras=2, media=True, **settings):
            assert (await hub.until_state("camera0/status", "CONNECTED"))["entity_id"] == before
        settings["home_assistant"] = {"enabled": False}
        async with bridged_agent(broker.url, tmp_path / "agent", cameras=2, **settings):
            await eventually(lambda: _is_empty(hub), timeout_s=40, every_s=0.5)
    assert _complaints((tmp_path / "hub.log").read_text()) == []


async def _shows_the_devices(hub: Hub) -> None:
    await hub.until_state("camera0/connected", "on")
    await hub.until_state("camera1/status", "CONNECTED")
    await hub.until_state("connected", "on")
    picture = await hub.until_state("camera0/picture", "idle")
    assert picture["entity_id"] == "camera.camera_0_box_camera0"
    assert (await hub.entity("camera0/image"))["disabled"]
    assert await _vias(hub) == {
        "Box": [],
        "Camera 0 (Box camera0)": ["camera-agent/box"],
        "Camera 1 (Box camera1)": ["camera-agent/box"],
    }


async def _follows_the_cameras(hub: Hub, agent: RunningAgent) -> None:
    await set_fault(agent, "camera1", "vanish", enabled=True)
    await hub.until_state("camera1/snapshot", "unavailable")
    problem = await hub.until_state("camera1/problem", "on")
    assert problem["attributes"]["reason"]
    await set_fault(agent, "camera1", "vanish", enabled=False)
    await hub.until_state("camera1/problem", "off")


async def _carries_commands_out(hub: Hub, agent: RunningAgent) -> None:
    async def switched_on() -> bool:
        await hub.ask("turn_on camera-agent/box/camera0/record")
        await anyio.sleep(1)  # the media server may not be ready yet
        return bool((await hub.entity("camera0/record"))["state"] == "on")

    await eventually(switched_on, timeout_s=40)
    await hub.until_state("camera0/recording", "on")
    await hub.ask("turn_off camera-agent/box/camera0/record")
    await hub.until_state("camera0/record", "off")
    await hub.ask("press camera-agent/box/camera0/snapshot")
    async with agent.client() as client:
        await eventually(lambda: _has_snapshot(client))
    await hub.until("camera0/newest_picture", lambda found: found["state"][:2] == "20")


async def _vias(hub: Hub) -> dict[str, list[str]]:
    return {each["name"]: each["via"] for each in await hub.ask("devices")}


async def _has_snapshot(client: Any) -> bool:
    return bool((await client.call("list_snapshots"))["total"])


async def _is_empty(hub: Hub) -> bool:
    return not await hub.ask("states")


def _complaints(log: str) -> list[str]:
    """Return the warnings of Home Assistant, which are about descriptions and state."""
    return [line for line in log.splitlines() if "is deprecated" not in line]

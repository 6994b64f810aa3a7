"""A real agent, described to Home Assistant at a real Mosquitto."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.plugin import (
    NOT_ASKED,
    AgentContext,
    CameraReport,
    CameraSource,
    DetectedCamera,
    Fingerprint,
    Plugin,
    Settings,
    Started,
    hookimpl,
)
from agent_core.plugin.ffmpeg import locate
from agent_core.testing import RunningAgent, running_agent
from agent_core.testing.waiting import eventually
from plugins.mqtt_bridge.tests.agents import ROOT, bridged_agent, set_fault
from plugins.mqtt_bridge.tests.mosquitto import Mosquitto, Seen, running_mosquitto, watching

from .accepted import faults_of, topic_faults
from .test_templates import rendered

HUB: Mapping[str, Any] = {"enabled": True, "control": True}
NODE = "camera-agent-box"
#: Time of the newest picture of a camera without one.
NEVER = "1970-01-01T00:00:00Z"


@asynccontextmanager
async def described(
    broker: Mosquitto, folder: Path, **settings: Any
) -> AsyncIterator[tuple[RunningAgent, Seen]]:
    """Run an agent, and a watcher of everything that is live from now on or was retained."""
    async with (
        watching(broker, "#") as seen,
        bridged_agent(broker.url, folder, **{"home_assistant": HUB, **settings}) as agent,
    ):
        await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
        yield agent, seen


def configs(seen: Seen, prefix: str = "homeassistant") -> dict[str, dict[str, Any]]:
    """Return the descriptions that are retained now, by topic."""
    topics = {each.topic.value for each in seen.messages if each.topic.value.endswith("/config")}
    found = {topic: seen.last(topic) for topic in topics if topic.startswith(f"{prefix}/")}
    return {topic: json.loads(payload) for topic, payload in found.items() if payload}


def subscriptions(broker: Mosquitto) -> str:
    """Return what the broker has logged of subscriptions, with one filter a line."""
    return "\n".join(line for line in broker.log.splitlines() if "(QoS " in line)


def topic(component: str, key: str) -> str:
    return f"homeassistant/{component}/{NODE}/{key}/config"


def shown(seen: Seen, component: str, key: str) -> str | None:
    """Return the value that Home Assistant shows for an entity, from its description and what the broker has."""
    config = configs(seen).get(topic(component, key))
    payload = seen.last(config["state_topic"]) if config else None
    if config is None or payload is None:
        return None
    return rendered(config.get("value_template", "{{ value }}"), payload.decode())


async def test_descriptions_come_before_the_birth_and_are_all_accepted(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with described(broker, tmp_path / "agent", cameras=2, pictures={"interval_s": 60}) as (_, seen):
            order = [each.topic.value for each in seen.messages]
            found = configs(seen)
            born = order.index(f"{ROOT}/status")
            assert {topic("sensor", "status"), topic("camera", "picture-camera1")} <= {*order[:born]}
            faults = {
                name: faults_of(name.split("/")[1], each) + topic_faults("homeassistant", name)
                for name, each in found.items()
            }
            assert {name: each for name, each in faults.items() if each} == {}
            assert {each["device"]["name"] for each in found.values()} == {
                "Box",
                "Camera 0 (Box camera0)",
                "Camera 1 (Box camera1)",
            }


async def test_values_follow_the_agent(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with described(broker, tmp_path / "agent", state={"min_interval_s": 0}) as (agent, seen):
            await seen.until(lambda: shown(seen, "binary_sensor", "connected-camera0") == "ON")
            assert shown(seen, "sensor", "status-camera0") == "CONNECTED"
            assert shown(seen, "binary_sensor", "problem-camera0") == "OFF"
            assert shown(seen, "binary_sensor", "connected") == "online"
            assert shown(seen, "sensor", "version") not in {None, "None", ""}
            await set_fault(agent, "camera0", "vanish", enabled=True)
            await seen.until(lambda: shown(seen, "binary_sensor", "connected-camera0") == "OFF")
            await seen.until(lambda: shown(seen, "binary_sensor", "problem-camera0") == "ON")
            assert topic("sensor", "status-camera0") in configs(seen)
            await set_fault(agent, "camera0", "vanish", enabled=False)
            await seen.until(lambda: shown(seen, "binary_sensor", "connected-camera0") == "ON")
            async with agent.client() as client:
                taken = await client.call("take_snapshot", device="camera0")
            await seen.until(lambda: shown(seen, "sensor", "newest_picture-camera0") == taken["captured_at"])


async def test_the_switch_starts_and_stops_a_recording_and_the_button_takes_a_snapshot(
    tmp_path: Path,
) -> None:
    if locate(None) is None:
        pytest.skip("needs FFmpeg")
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with described(broker, tmp_path / "agent", media=True, state={"min_interval_s": 0}) as (
            agent,
            seen,
        ):
            record = configs(seen)[topic("switch", "record-camera0")]
            press = configs(seen)[topic("button", "snapshot-camera0")]

            async def switched(payload: str, wanted: str) -> bool:
                # Again and again, as the media server may not be ready yet.
                await seen.client.publish(record["command_topic"], payload, qos=1)
                with anyio.move_on_after(2):
                    await seen.until(lambda: shown(seen, "switch", "record-camera0") == wanted)
                return shown(seen, "switch", "record-camera0") == wanted

            async def has_recording() -> bool:
                async with agent.client() as client:
                    return bool((await client.call("list_recordings"))["total"])

            await eventually(lambda: switched("ON", "ON"))
            assert shown(seen, "binary_sensor", "recording-camera0") == "ON"
            # A recording that is stopped before it has any media leaves no file.
            await eventually(has_recording, timeout_s=60)
            await eventually(lambda: switched("OFF", "OFF"))
            await seen.client.publish(press["command_topic"], "PRESS", qos=1)
            await seen.until(lambda: shown(seen, "sensor", "newest_picture-camera0") not in {None, NEVER})
            async with agent.client() as client:
                assert (await client.call("list_snapshots"))["total"] == 1
            assert await has_recording()


async def test_retained_commands_do_nothing(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with watching(broker) as hub:
            await hub.client.publish(f"{ROOT}/control/camera0/snapshot", "PRESS", qos=1, retain=True)
        async with described(broker, tmp_path / "agent", cameras=2) as (agent, seen):
            await seen.client.publish(f"{ROOT}/control/camera1/snapshot", "PRESS", qos=1)
            await seen.until(lambda: shown(seen, "sensor", "newest_picture-camera1") not in {None, NEVER})
            async with agent.client() as client:
                names = [each["filename"] for each in (await client.call("list_snapshots"))["files"]]
            assert [name.split("/")[0] for name in names] == ["camera1"]


async def test_without_control_there_are_no_commands(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with described(broker, tmp_path / "agent", home_assistant={"enabled": True}) as (agent, seen):
            assert topic("sensor", "status-camera0") in configs(seen)
            assert {each.split("/")[1] for each in configs(seen)} == {"sensor", "binary_sensor"}
            await seen.client.publish(f"{ROOT}/control/camera0/snapshot", "PRESS", qos=1)
            await set_fault(agent, "camera0", "vanish", enabled=True)
            await seen.until(lambda: shown(seen, "sensor", "status-camera0") == "DISCONNECTED")
            async with agent.client() as client:
                assert (await client.call("list_snapshots"))["total"] == 0
        assert f"{ROOT}/control/" not in subscriptions(broker)


async def test_another_prefix_and_the_end_of_discovery_leave_nothing_behind(tmp_path: Path) -> None:
    foreign = ("homeassistant/sensor/box/status/config", f"homeassistant/sensor/{NODE}2/status/config")
    async with running_mosquitto(tmp_path / "broker") as broker:
        async with watching(broker) as other:
            for each in (*foreign, topic("sensor", "former")):
                await other.client.publish(each, "{}", qos=1, retain=True)
        async with described(broker, tmp_path / "agent") as (_, seen):
            assert len(configs(seen)) > 10
        renamed = {"enabled": True, "prefix": "hub/discovery"}
        async with described(broker, tmp_path / "agent", home_assistant=renamed) as (_, seen):
            await seen.until(lambda: configs(seen).keys() == {*foreign})
            assert len(configs(seen, "hub/discovery")) > 5
        async with described(broker, tmp_path / "agent", home_assistant={"enabled": False}) as (_, seen):
            await seen.until(lambda: not configs(seen, "hub/discovery"))
            assert configs(seen).keys() == {*foreign}


async def test_a_reload_switches_discovery_and_commands_on(tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"enabled": False}

    def sections() -> dict[str, Any]:
        bridge = {"url": broker.url, "agent_id": "box", "home_assistant": dict(wanted)}
        cameras = {"cameras": [{"name": "Test", "id": "camera0"}]}
        enabled = ["virtual_camera", "mqtt_bridge"]
        return {"plugins": {"enabled": enabled, "virtual_camera": cameras, "mqtt_bridge": bridge}}

    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "#") as seen:
        async with (
            running_agent(config=sections(), reread=sections) as agent,
            agent.client("admin") as client,
        ):
            await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
            assert configs(seen) == {}
            wanted["enabled"] = True
            answer = await client.call("reload_configuration")
            assert answer["changed"] == ["plugins.mqtt_bridge.home_assistant.enabled"]
            await seen.until(lambda: topic("sensor", "status-camera0") in configs(seen))
            assert topic("button", "snapshot-camera0") not in configs(seen)
            wanted["control"] = True
            await client.call("reload_configuration")
            await seen.until(lambda: topic("button", "snapshot-camera0") in configs(seen))
            await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
            await seen.client.publish(f"{ROOT}/control/camera0/snapshot", "PRESS", qos=1)
            await seen.until(lambda: shown(seen, "sensor", "newest_picture-camera0") not in {None, NEVER})


class Shelf(CameraSource):
    """Source of two cameras without pictures, of which a test may remove one."""

    name = "shelf"
    report: CameraReport

    async def watch(self, report: CameraReport, *, task_status: Started = NOT_ASKED) -> None:
        self.report = report
        for number, key in enumerate("ab"):
            mark = Fingerprint(self.name, serial=key)
            report.connected(DetectedCamera(key, f"Shelf {key}", mark, None, number_hint=number))
        task_status.started()
        await anyio.sleep_forever()


def plugin_of(source: CameraSource) -> type[Plugin[Settings]]:
    class ShelfPlugin(Plugin[Settings]):
        @hookimpl
        def agent_camera_sources(self, agent: AgentContext) -> list[CameraSource]:
            return [source]

    return ShelfPlugin


async def test_a_forgotten_camera_is_cleared_and_a_disconnected_one_is_not(tmp_path: Path) -> None:
    shelf = Shelf()
    bridge = {"url": "", "agent_id": "box", "home_assistant": HUB, "state": {"min_interval_s": 0}}
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, "#") as seen:
        config = {"plugins": {"enabled": ["mqtt_bridge"], "mqtt_bridge": {**bridge, "url": broker.url}}}
        async with running_agent(plugins={"shelf": plugin_of(shelf)}, config=config):
            await seen.until(lambda: shown(seen, "sensor", "status-camera1") == "CONNECTED")
            shelf.report.disconnected("a", "It was unplugged.")
            await seen.until(lambda: shown(seen, "sensor", "status-camera0") == "DISCONNECTED")
            before = configs(seen)
            shelf.report.removed("a", "It was removed.")
            await seen.until(lambda: not any(each.endswith("-camera0/config") for each in configs(seen)))
            assert configs(seen) == {
                name: each for name, each in before.items() if not name.endswith("-camera0/config")
            }
            await seen.until(lambda: seen.last(f"{ROOT}/state/cameras/camera0") == b"")

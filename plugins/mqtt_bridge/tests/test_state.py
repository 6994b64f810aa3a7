"""State of a real agent at a real Mosquitto."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_core.plugin.ffmpeg import locate
from agent_core.testing.waiting import eventually
from external_discovery.plugin import ExternalDiscoveryPlugin

from .agents import ROOT, bridged_agent, set_fault, state_of
from .mosquitto import Seen, running_mosquitto, watching


async def test_state_is_there_before_the_birth_and_follows_the_cameras(tmp_path: Path) -> None:
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, f"{ROOT}/#") as seen:
        labels = {"site": "north"}
        async with bridged_agent(broker.url, tmp_path / "agent", cameras=2, labels=labels) as agent:
            await seen.until(lambda: seen.last(f"{ROOT}/status") == b"online")
            topics = [each.topic.value for each in seen.messages]
            born = topics.index(f"{ROOT}/status")
            assert {f"{ROOT}/state/agent", f"{ROOT}/state/health"} <= {*topics[:born]}
            shown = state_of(seen, "agent")
            assert shown is not None
            assert (shown["agent"], shown["name"], shown["labels"]) == ("box", "Box", {"site": "north"})
            assert shown["boot_id"] == agent.parts.events.boot_id
            assert "mqtt_bridge" in shown["plugins"]
            health = state_of(seen, "health")
            assert health is not None
            assert health["disk_total_bytes"] > health["disk_free_bytes"] > 0
            camera = await _camera(seen, "camera1", "CONNECTED")
            async with agent.client("viewer") as client:
                listed = (await client.call("get_camera_list"))["cameras"][1]
            assert {name: camera[name] for name in listed} == listed
            await set_fault(agent, "camera1", "vanish", enabled=True)
            await _camera(seen, "camera1", "DISCONNECTED")
            await set_fault(agent, "camera1", "vanish", enabled=False)
            await _camera(seen, "camera1", "CONNECTED")
        await seen.until(lambda: seen.last(f"{ROOT}/status") == b"offline")


async def _camera(seen: Seen, camera: str, status: str) -> dict[str, Any]:
    def has_status() -> bool:
        shown = state_of(seen, "cameras", camera)
        return shown is not None and shown["status"] == status

    await seen.until(has_status)
    shown = state_of(seen, "cameras", camera)
    assert shown is not None
    return shown


async def test_a_recording_is_shown_while_it_goes_on_and_its_name_afterwards(tmp_path: Path) -> None:
    if locate(None) is None:
        pytest.skip("needs FFmpeg")
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, f"{ROOT}/#") as seen:
        async with (
            bridged_agent(broker.url, tmp_path / "agent", media=True, state={"min_interval_s": 0}) as agent,
            agent.client("operator") as client,
        ):

            async def started() -> str | None:
                try:
                    return str((await client.call("start_recording", device="camera0"))["filename"])
                except Exception:  # noqa: BLE001 - the media server may not be ready yet
                    return None

            name = await eventually(started)
            await seen.until(lambda: _recording(seen) == ("RECORDING", name))
            await client.call("stop_recording", device="camera0")
            await seen.until(lambda: _recording(seen) == ("IDLE", name))
        states = [json.loads(each)["state"] for each in seen.of(f"{ROOT}/state/recordings/camera0")]
        assert states.index("RECORDING") < len(states) - 1


def _recording(seen: Seen) -> tuple[str, str | None]:
    shown = state_of(seen, "recordings", "camera0")
    return ("", None) if shown is None else (shown["state"], shown["filename"])


async def test_a_camera_that_an_operator_removes_is_cleared(tmp_path: Path) -> None:
    network = {"external_discovery": ExternalDiscoveryPlugin}
    async with running_mosquitto(tmp_path / "broker") as broker, watching(broker, f"{ROOT}/#") as seen:
        async with (
            bridged_agent(broker.url, tmp_path / "agent", plugins=network) as agent,
            agent.client("operator") as client,
        ):
            url = "rtsp://192.0.2.10/live"
            added = await client.call("add_external_stream", stream_url=url, stream_name="Yard", verify=False)
            topics = [f"{ROOT}/state/{kind}/{added['device']}" for kind in ("cameras", "recordings")]
            await seen.until(lambda: all(seen.last(topic) for topic in topics))
            camera = state_of(seen, "cameras", added["device"])
            assert camera is not None
            assert camera["name"] == "Yard"
            await client.call("remove_external_stream", stream_url=url)
            await seen.until(lambda: [seen.last(topic) for topic in topics] == [b"", b""])
            assert state_of(seen, "cameras", "camera0") is not None

"""Descriptions, compared with recorded facts about Home Assistant."""

import json

from mqtt_bridge.home_assistant.descriptions import DescribedAgent, Descriptions
from mqtt_bridge.topics import AgentTopics

from .accepted import DOCUMENTED, FACTS, faults_of, topic_faults
from .described import AGENT, CAMERAS, IDS, TOPICS, described, entity


def test_home_assistant_accepts_each_description() -> None:
    faults = {
        topic: found
        for topic, payload in described().items()
        if (found := faults_of(topic.split("/")[1], payload) + topic_faults("homeassistant", topic))
    }
    assert faults == {}


def test_the_check_finds_faults() -> None:
    payload = entity("sensor", "disk_hours_left")
    wrong = {**payload, "unit_of_measurement": "hours", "colour": "red", "object_id": "x"}
    del wrong["unique_id"]
    assert sorted(faults_of("sensor", wrong)) == [
        "colour is ignored",
        "object_id is refused",
        "unique_id is missing",
        "unit_of_measurement hours",
    ]
    assert topic_faults("homeassistant", "homeassistant/sensor/a.b/c/config") != []
    assert topic_faults("homeassistant", "homeassistant/sensor/c/config") != []


def test_every_fact_names_its_source() -> None:
    assert FACTS["source"]["version"] == "2024.3.3"
    assert all(each["source"] for each in DOCUMENTED.values())


def test_each_unique_id_is_there_once() -> None:
    ids = [payload["unique_id"] for payload in described().values()]
    assert len(ids) == len({*ids})
    assert all(each.startswith("camera-agent/barn_1/") for each in ids)


def test_each_device_has_its_entities() -> None:
    found: dict[str, set[str]] = {}
    for topic, payload in described().items():
        (device,) = payload["device"]["identifiers"]
        found.setdefault(device, set()).add(f"{topic.split('/')[1]} {payload['name']}")
    shared = {
        "binary_sensor Connected",
        "binary_sensor Problem",
        "binary_sensor Recording",
        "sensor Status",
        "sensor Newest picture",
        "switch Record",
        "button Take snapshot",
    }
    assert found == {
        "camera-agent/barn_1": {
            "binary_sensor Connected",
            "binary_sensor Problem",
            "sensor Status",
            "sensor Version",
            "sensor Disk full in",
            "sensor Snapshot latency ring",
            "sensor Snapshot latency ffmpeg",
        },
        "camera-agent/barn_1/camera0": {*shared, "camera None", "image Picture"},
        "camera-agent/barn_1/camera12": shared,
    }


def test_cameras_belong_to_their_agent_and_have_names_of_their_own() -> None:
    devices = {
        payload["device"]["identifiers"][0]: payload["device"]
        for payload in described().values()
        if "via_device" in payload["device"]
    }
    assert {each["name"] for each in devices.values()} == {
        "HD Webcam (Barn camera0)",
        "HD Webcam (Barn camera12)",
    }
    assert {each["via_device"] for each in devices.values()} == {"camera-agent/barn_1"}


def test_the_agent_comes_before_its_cameras() -> None:
    devices = [payload["device"]["identifiers"][0] for payload in described().values()]
    assert devices == sorted(devices)


def test_commands_are_described_only_on_request() -> None:
    assert {topic.split("/")[1] for topic in described()} - {
        topic.split("/")[1] for topic in described(control=False)
    } == {"switch", "button"}
    assert "control/" not in json.dumps(described(control=False))


def test_commands_are_never_retained_and_go_to_the_control_topics() -> None:
    commands = [payload for payload in described().values() if "command_topic" in payload]
    assert {(each["qos"], each["retain"]) for each in commands} == {(1, False)}
    assert {each["command_topic"] for each in commands} == {
        f"camera-agent/barn_1/control/{camera.id}/{what}"
        for camera in CAMERAS
        for what in ("record", "snapshot")
    }


def test_everything_but_the_agents_own_connection_needs_the_agent() -> None:
    free = {topic for topic, payload in described().items() if "availability" not in payload}
    assert free == {IDS.description("binary_sensor", "connected")}
    needed = [payload["availability"][0] for topic, payload in described().items() if topic not in free]
    assert [*map(dict, needed)] == [{"topic": TOPICS.status}] * len(needed)


def test_a_picture_needs_the_camera_too() -> None:
    picture = entity("camera", "picture", "camera0")
    assert picture["availability_mode"] == "all"
    assert [each["topic"] for each in picture["availability"]] == [TOPICS.status, TOPICS.camera("camera0")]


def test_ids_do_not_depend_on_names() -> None:
    other = described(agent=DescribedAgent("Shed", "9", AGENT.tiers))
    assert {topic: each["unique_id"] for topic, each in other.items()} == {
        topic: each["unique_id"] for topic, each in described().items()
    }


def test_odd_names_of_tiers_stay_apart() -> None:
    agent = DescribedAgent("Barn", "1", ("a.b", "a_b", "a'b\"}}"))
    payloads = described(agent=agent)
    assert [topic for topic in payloads if topic_faults("homeassistant", topic)] == []
    assert sum("latency" in topic for topic in payloads) == 3


def test_a_prefix_may_have_several_levels() -> None:
    topics = AgentTopics("site/a", "x")
    ids = IDS.__class__("hub/discovery", "x")
    found = Descriptions(ids, topics, control=False).all(AGENT, CAMERAS)
    assert [topic for topic in found if topic_faults("hub/discovery", topic)] == []

"""Templates of the descriptions, rendered as Home Assistant renders them."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mqtt_bridge.home_assistant.descriptions import DescribedAgent

from .described import IDS, described, entity

CAMERA: Mapping[str, Any] = {
    "device": "camera0",
    "name": "HD Webcam",
    "status": "CONNECTED",
    "problem": None,
    "ambiguous": False,
    "moved": False,
    "newest_picture_at": "2026-11-30T20:00:00.000Z",
    "newest_picture_tier": "ring",
}
HEALTH: Mapping[str, Any] = {
    "status": "HEALTHY",
    "problems": [],
    "disk_hours_left": 12.5,
    "tiers": [
        {"name": "ring", "rank": 0, "count": 3, "p50_ms": 4.2, "p95_ms": 5.0},
        {"name": "ffmpeg", "rank": 1, "count": 0, "p50_ms": None, "p95_ms": None},
    ],
}


def rendered(template: str, payload: str) -> str:
    """Return what Home Assistant makes of a payload: `value_json` is defined only if the payload is JSON."""
    # Strict, since Home Assistant logs a warning for each value that is not defined.
    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    try:
        variables = {"value": payload, "value_json": json.loads(payload)}
    except ValueError:
        variables = {"value": payload}
    return environment.from_string(template).render(variables)


def value(payload: Mapping[str, Any], component: str, key: str, subject: str = "") -> str:
    return rendered(entity(component, key, subject)["value_template"], json.dumps(payload))


def attributes(payload: Mapping[str, Any], component: str, key: str, subject: str = "") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        rendered(entity(component, key, subject)["json_attributes_template"], json.dumps(payload))
    )
    return found


@pytest.mark.parametrize(
    ("status", "connected", "available"),
    [("CONNECTED", "ON", "online"), ("DISCONNECTED", "OFF", "offline"), ("ERROR", "OFF", "offline")],
)
def test_connection_of_a_camera(status: str, connected: str, available: str) -> None:
    state = {**CAMERA, "status": status}
    assert value(state, "binary_sensor", "connected", "camera0") == connected
    assert value(state, "sensor", "status", "camera0") == status
    _, camera = entity("button", "snapshot", "camera0")["availability"]
    assert rendered(camera["value_template"], json.dumps(state)) == available


def test_problem_of_a_camera() -> None:
    assert value(CAMERA, "binary_sensor", "problem", "camera0") == "OFF"
    state = {**CAMERA, "problem": 'It\'s gone: </b> & "so" on.'}
    assert value(state, "binary_sensor", "problem", "camera0") == "ON"
    assert attributes(state, "binary_sensor", "problem", "camera0") == {
        "reason": 'It\'s gone: </b> & "so" on.',
        "ambiguous": False,
        "moved": False,
    }
    assert value({**CAMERA, "ambiguous": True}, "binary_sensor", "problem", "camera0") == "ON"


@pytest.mark.parametrize(
    ("state", "expected"),
    [("IDLE", "OFF"), ("STARTING", "ON"), ("RECORDING", "ON"), ("ERROR", "ON"), ("SUSPENDED", "ON")],
)
def test_recording(state: str, expected: str) -> None:
    payload = {"device": "camera0", "state": state, "filename": "x", "reason": None}
    assert value(payload, "binary_sensor", "recording", "camera0") == expected
    assert value(payload, "switch", "record", "camera0") == expected
    assert attributes(payload, "binary_sensor", "recording", "camera0") == {
        "recording_state": state,
        "filename": "x",
        "reason": None,
    }


def test_time_of_the_newest_picture() -> None:
    assert value(CAMERA, "sensor", "newest_picture", "camera0") == "2026-11-30T20:00:00.000Z"
    never = {**CAMERA, "newest_picture_at": None}
    # Home Assistant warns of a state that is no time.
    assert datetime.fromisoformat(value(never, "sensor", "newest_picture", "camera0")).tzinfo is not None
    _, camera = entity("sensor", "newest_picture", "camera0")["availability"]
    available = [rendered(camera["value_template"], json.dumps(each)) for each in (CAMERA, never)]
    assert available == ["online", "offline"]
    assert attributes(CAMERA, "sensor", "newest_picture", "camera0") == {"tier": "ring"}


def test_health() -> None:
    assert value(HEALTH, "sensor", "status") == "HEALTHY"
    assert value(HEALTH, "sensor", "disk_hours_left") == "12.5"
    assert value({**HEALTH, "disk_hours_left": None}, "sensor", "disk_hours_left") == "None"
    assert value(HEALTH, "binary_sensor", "problem") == "OFF"
    assert value({**HEALTH, "status": "DEGRADED"}, "binary_sensor", "problem") == "ON"
    problems = [{"reason": "a", "details": "Something is wrong.", "suggestion": "b"}]
    assert value({**HEALTH, "problems": problems}, "binary_sensor", "problem") == "ON"
    assert attributes({**HEALTH, "problems": problems}, "binary_sensor", "problem") == {
        "reasons": ["Something is wrong."]
    }


def test_latency_of_tiers() -> None:
    assert value(HEALTH, "sensor", "latency", "ring") == "4.2"
    assert value(HEALTH, "sensor", "latency", "ffmpeg") == "None"
    assert value({**HEALTH, "tiers": []}, "sensor", "latency", "ring") == "None"


def test_a_tier_cannot_leave_its_template() -> None:
    name = "a' ~ 7*7 ~ \"}}\\"
    payloads = described(agent=DescribedAgent("Barn", "1", (name,)))
    template = payloads[IDS.description("sensor", "latency", name)]["value_template"]
    assert rendered(template, json.dumps({"tiers": [{"name": name, "p50_ms": 3}]})) == "3"


@pytest.mark.parametrize("payload", ["", "{}", "not JSON"])
def test_no_template_fails_on_state_that_is_not_there(payload: str) -> None:
    templates = [
        template
        for description in described().values()
        for name, template in description.items()
        if name.endswith("template")
    ]
    templates += [
        each["value_template"]
        for description in described().values()
        for each in description.get("availability", ())
        if "value_template" in each
    ]
    assert len(templates) > 20
    results = {rendered(each, payload) for each in templates}
    objects = [json.loads(each) for each in results if each.startswith("{")]
    assert {each for each in results if not each.startswith("{")} <= {
        *("None", "OFF", "ON", "offline"),
        "1970-01-01T00:00:00Z",
    }
    assert [each for found in objects for each in found.values() if each not in (None, [])] == []

"""Entities of a camera's device."""

from mqtt_bridge.home_assistant.entities import Entity, Fields
from mqtt_bridge.home_assistant.templates import attributes, if_state, member
from mqtt_bridge.topics import AgentTopics

__all__ = ("camera_entities",)

_DIAGNOSTIC: Fields = {"entity_category": "diagnostic"}
# Each names a default: Home Assistant logs a warning for a member that is not there.
_IS_CONNECTED = "state.status | default('') == 'CONNECTED'"
_IS_RECORDING = if_state("state.state | default('IDLE') != 'IDLE'", "ON", "OFF")


def camera_entities(topics: AgentTopics, camera: str, *, pictures: bool, control: bool) -> list[Entity]:
    """Return the entities of one camera.

    Args:
        topics: the agent's topics.
        camera: the camera's id.
        pictures: the camera's pictures are published.
        control: add the switch and the button, whose commands are unsigned.
    """
    found = [_connected(topics, camera), _status(topics, camera), _problem(topics, camera)]
    found += [_recording(topics, camera), _newest_picture(topics, camera)]
    if pictures:
        found += [_camera(topics, camera), _image(topics, camera)]
    if control:
        found += [_record(topics, camera), _snapshot(topics, camera)]
    return found


def _while_agent(topics: AgentTopics) -> Fields:
    return {"availability": [{"topic": topics.status}]}


def _while_connected(topics: AgentTopics, camera: str) -> Fields:
    return _while(topics, camera, _IS_CONNECTED)


def _while(topics: AgentTopics, camera: str, condition: str) -> Fields:
    """Let an entity be available while the agent is there and the camera's state fulfils a condition."""
    fulfilled = if_state(condition, "online", "offline")
    return {
        "availability": [
            {"topic": topics.status},
            {"topic": topics.camera(camera), "value_template": fulfilled},
        ],
        "availability_mode": "all",
    }


def _state(topics: AgentTopics, camera: str) -> Fields:
    return {"state_topic": topics.camera(camera), **_while_agent(topics)}


def _connected(topics: AgentTopics, camera: str) -> Entity:
    fields: Fields = {
        **_state(topics, camera),
        "device_class": "connectivity",
        "value_template": if_state(_IS_CONNECTED, "ON", "OFF"),
        **_DIAGNOSTIC,
    }
    return Entity("binary_sensor", "connected", "Connected", fields)


def _status(topics: AgentTopics, camera: str) -> Entity:
    fields: Fields = {**_state(topics, camera), "value_template": member("status"), **_DIAGNOSTIC}
    return Entity("sensor", "status", "Status", fields)


def _problem(topics: AgentTopics, camera: str) -> Entity:
    fields: Fields = {
        **_state(topics, camera),
        "device_class": "problem",
        "value_template": if_state(
            "state.problem | default('') or state.ambiguous | default(false)", "ON", "OFF"
        ),
        "json_attributes_topic": topics.camera(camera),
        "json_attributes_template": attributes(
            {"reason": "state.problem", "ambiguous": "state.ambiguous", "moved": "state.moved"}
        ),
        **_DIAGNOSTIC,
    }
    return Entity("binary_sensor", "problem", "Problem", fields)


def _recording(topics: AgentTopics, camera: str) -> Entity:
    """Return the sensor for a recording that has begun and not ended; its attribute `state` tells if it goes well."""
    fields: Fields = {
        "state_topic": topics.recording(camera),
        **_while_agent(topics),
        "device_class": "running",
        "value_template": _IS_RECORDING,
        "json_attributes_topic": topics.recording(camera),
        "json_attributes_template": attributes(
            {"recording_state": "state.state", "filename": "state.filename", "reason": "state.reason"}
        ),
    }
    return Entity("binary_sensor", "recording", "Recording", fields)


def _newest_picture(topics: AgentTopics, camera: str) -> Entity:
    """Return the time of the newest picture: Home Assistant shows its age, which needs no further message.

    Without a picture it is unavailable. Home Assistant has no word for an unknown time and logs a warning for anything else, so
    the value is then a time that is not shown.
    """
    fields: Fields = {
        "state_topic": topics.camera(camera),
        **_while(topics, camera, "state.newest_picture_at | default(none)"),
        "device_class": "timestamp",
        "value_template": member("newest_picture_at", otherwise="1970-01-01T00:00:00Z"),
        "json_attributes_topic": topics.camera(camera),
        "json_attributes_template": attributes({"tier": "state.newest_picture_tier"}),
        **_DIAGNOSTIC,
    }
    return Entity("sensor", "newest_picture", "Newest picture", fields)


def _camera(topics: AgentTopics, camera: str) -> Entity:
    fields: Fields = {"topic": topics.picture(camera), **_while_connected(topics, camera)}
    return Entity("camera", "picture", None, fields)


def _image(topics: AgentTopics, camera: str) -> Entity:
    """Return the same picture as an image, whose state is the time of its arrival; off until a user switches it on."""
    fields: Fields = {
        "image_topic": topics.picture(camera),
        "content_type": "image/jpeg",
        "enabled_by_default": False,
        **_while_agent(topics),
    }
    return Entity("image", "image", "Picture", fields)


def _record(topics: AgentTopics, camera: str) -> Entity:
    """Return the switch for recording. It works without the camera, whose recording can outlive its connection."""
    fields: Fields = {
        "command_topic": topics.control(camera, "record"),
        "state_topic": topics.recording(camera),
        **_while_agent(topics),
        "value_template": _IS_RECORDING,
        "qos": 1,
        "retain": False,
        "optimistic": False,
    }
    return Entity("switch", "record", "Record", fields)


def _snapshot(topics: AgentTopics, camera: str) -> Entity:
    fields: Fields = {
        "command_topic": topics.control(camera, "snapshot"),
        **_while_connected(topics, camera),
        "qos": 1,
        "retain": False,
    }
    return Entity("button", "snapshot", "Take snapshot", fields)

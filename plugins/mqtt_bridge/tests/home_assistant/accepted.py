"""Check of descriptions against recorded facts about Home Assistant; each fact names its source."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ("DOCUMENTED", "FACTS", "faults_of", "topic_faults")

_HERE = Path(__file__).parent
#: Read from Home Assistant itself; `inside/facts.py` writes it, and a test of the release compares it.
FACTS: Mapping[str, Any] = json.loads((_HERE / "facts.json").read_text())
#: Read by people in its documentation, also of later versions.
DOCUMENTED: Mapping[str, Any] = json.loads((_HERE / "documented.json").read_text())


def topic_faults(prefix: str, topic: str) -> list[str]:
    """Return what is wrong with the topic of a description."""
    found = re.fullmatch(re.escape(prefix) + r"/([^/]+)/([^/]+)/([^/]+)/config", topic)
    if found is None:
        return [f"{topic} is not PREFIX/COMPONENT/NODE/OBJECT/config"]
    component, *ids = found.groups()
    faults = [] if component in FACTS["components"] else [f"{component} is not known"]
    allowed = set(DOCUMENTED["id_characters"]["fact"])
    return faults + [f"{each} has {set(each) - allowed}" for each in ids if set(each) - allowed]


def faults_of(component: str, payload: Mapping[str, Any]) -> list[str]:
    """Return what Home Assistant would not accept in the description of an entity, or ignore."""
    needed = {*FACTS["components"][component]["required"], *DOCUMENTED["required_for_devices"]["fact"]}
    known = {*FACTS["components"][component]["optional"], *needed}
    faults = [f"{each} is missing" for each in needed - {*payload}]
    faults += [f"{each} is ignored" for each in {*payload} - known]
    faults += [f"{each} is refused" for each in DOCUMENTED["refused_options"]["fact"] if each in payload]
    for part in ("device", "origin"):
        known = {*FACTS[part]["optional"], *FACTS[part]["required"]}
        faults += [f"{part}.{each} is not known" for each in {*payload.get(part, {})} - known]
    faults += [
        f"origin.{each} is missing" for each in {*FACTS["origin"]["required"]} - {*payload.get("origin", {})}
    ]
    return faults + _word_faults(component, payload) + _name_faults(payload)


def _word_faults(component: str, payload: Mapping[str, Any]) -> list[str]:
    device_class = payload.get("device_class")
    choices = {
        "device_class": FACTS["device_classes"].get(component, ()),
        "state_class": FACTS["state_classes"],
        "entity_category": FACTS["entity_categories"],
        "availability_mode": FACTS["availability_modes"],
    }
    if device_class in FACTS["units"]:
        choices["unit_of_measurement"] = FACTS["units"][device_class]
    faults = [
        f"{name} {payload[name]}"
        for name, words in choices.items()
        if name in payload and payload[name] not in words
    ]
    if "state_class" in payload and "unit_of_measurement" not in payload:
        faults.append("a number without unit")
    return faults


def _name_faults(payload: Mapping[str, Any]) -> list[str]:
    device, entity = payload["device"].get("name", ""), payload["name"]
    faults = [] if device else ["the device has no name"]
    if entity is not None and entity.startswith(device):
        faults.append(f"{entity} repeats the device's name")
    return faults

"""Print what Home Assistant accepts in descriptions, as JSON; run with a Python that has Home Assistant: facts.py > ../facts.json.

Only names are recorded: of the options, which of them are required, and of classes and units.
"""

import importlib
import json
import sys
from collections.abc import Iterable
from typing import Any

import voluptuous
from homeassistant.components.binary_sensor import BinarySensorDeviceClass
from homeassistant.components.button import ButtonDeviceClass
from homeassistant.components.mqtt import const, mixins
from homeassistant.components.sensor import SensorDeviceClass, SensorStateClass
from homeassistant.components.sensor.const import DEVICE_CLASS_UNITS
from homeassistant.components.switch import SwitchDeviceClass
from homeassistant.const import EntityCategory, __version__

COMPONENTS = ("binary_sensor", "button", "camera", "image", "sensor", "switch")


def options(schema: object) -> dict[str, list[str]]:
    """Return the options of a schema, which may be one of several checks in a row."""
    while isinstance(schema, voluptuous.All):
        schema = next(
            each for each in schema.validators if isinstance(each, voluptuous.All | voluptuous.Schema)
        )
    assert isinstance(schema, voluptuous.Schema)
    required = {str(key) for key in schema.schema if isinstance(key, voluptuous.Required)}
    return {"required": sorted(required), "optional": sorted({*map(str, schema.schema)} - required)}


def words(classes: Iterable[Any]) -> list[str]:
    return sorted(str(each.value) for each in classes)


components = {
    name: options(importlib.import_module(f"homeassistant.components.mqtt.{name}").DISCOVERY_SCHEMA)
    for name in COMPONENTS
}
facts = {
    "source": {
        "program": "home-assistant/core",
        "version": __version__,
        "read_by": "plugins/mqtt_bridge/tests/home_assistant/inside/facts.py",
        "files": [
            *(f"homeassistant/components/mqtt/{name}.py: DISCOVERY_SCHEMA" for name in COMPONENTS),
            "homeassistant/components/mqtt/mixins.py: AVAILABILITY_MODES, MQTT_ENTITY_DEVICE_INFO_SCHEMA, MQTT_ORIGIN_INFO_SCHEMA",
            "homeassistant/components/mqtt/const.py: DEFAULT_BIRTH",
            "homeassistant/components/sensor/const.py: DEVICE_CLASS_UNITS",
        ],
    },
    "components": components,
    "device": options(mixins.MQTT_ENTITY_DEVICE_INFO_SCHEMA),
    "origin": options(mixins.MQTT_ORIGIN_INFO_SCHEMA),
    "birth": {key: const.DEFAULT_BIRTH[key] for key in ("topic", "payload", "retain")},
    "availability_modes": sorted(mixins.AVAILABILITY_MODES),
    "entity_categories": words(EntityCategory),
    "device_classes": {
        "binary_sensor": words(BinarySensorDeviceClass),
        "button": words(ButtonDeviceClass),
        "sensor": words(SensorDeviceClass),
        "switch": words(SwitchDeviceClass),
    },
    "state_classes": words(SensorStateClass),
    "units": {
        str(name.value): sorted(str(getattr(unit, "value", unit)) for unit in units if unit is not None)
        for name, units in sorted(DEVICE_CLASS_UNITS.items())
        if name in {SensorDeviceClass.DURATION, SensorDeviceClass.TIMESTAMP}
    },
}
json.dump(facts, sys.stdout, indent=2, sort_keys=True)
sys.stdout.write("\n")

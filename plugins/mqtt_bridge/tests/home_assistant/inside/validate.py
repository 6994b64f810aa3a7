"""Validate descriptions with Home Assistant's own schemas; run with a Python that has Home Assistant.

Standard input: a JSON object with the payloads by topic. Standard output: a JSON object with a fault by topic, and in `ignored` the
options that Home Assistant drops.
"""

import asyncio
import importlib
import json
import sys

import voluptuous
from homeassistant.core import HomeAssistant


async def main() -> None:
    hass = HomeAssistant("/nonexistent")  # templates are compiled with it
    faults: dict[str, str] = {}
    for topic, payload in json.load(sys.stdin).items():
        component = topic.removesuffix("/config").split("/")[-3]
        schema = importlib.import_module(f"homeassistant.components.mqtt.{component}").DISCOVERY_SCHEMA
        try:
            config = schema(payload)
        except voluptuous.Invalid as fault:
            faults[topic] = str(fault)
            continue
        dropped = sorted({*payload} - {*config})
        if dropped:
            faults[topic] = f"ignored: {dropped}"
    json.dump(faults, sys.stdout)
    await hass.async_stop(force=True)


asyncio.run(main())

"""Run Home Assistant with its MQTT integration, and answer questions about what it found; run with a Python that has Home Assistant.

whole.py FOLDER BROKER_PORT. Each line of standard input is one question; each line of standard output is the answer, as JSON:

- `states`: the state and the attributes by unique id, with the entity id and the device's name
- `devices`: name, identifiers, and identifiers of the device that it is reached through
- `press UNIQUE_ID`, `turn_on UNIQUE_ID`, `turn_off UNIQUE_ID`: the service is called
"""

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

from homeassistant import auth, bootstrap, config_entries, loader, setup
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry, entity_registry

folder, port = Path(sys.argv[1]), int(sys.argv[2])
ENTRY = {
    "entry_id": "mqtt",
    "version": 1,
    "minor_version": 2,
    "domain": "mqtt",
    "title": "MQTT",
    "data": {"broker": "127.0.0.1", "port": port, "discovery": True, "protocol": "5"},
    "options": {},
    "pref_disable_new_entities": False,
    "pref_disable_polling": False,
    "source": "user",
    "unique_id": None,
    "disabled_by": None,
}


def prepare() -> None:
    """Write what the dialogue for a new integration would have stored."""
    (folder / ".storage").mkdir(parents=True, exist_ok=True)
    (folder / "configuration.yaml").touch()
    entries = {"version": 1, "minor_version": 1, "key": "core.config_entries", "data": {"entries": [ENTRY]}}
    (folder / ".storage/core.config_entries").write_text(json.dumps(entries))


async def started() -> HomeAssistant:
    """Start the core with MQTT and what it depends on, without pages, cloud and database."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        http = {"server_host": "127.0.0.1", "server_port": free.getsockname()[1]}
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    hass.auth = await auth.auth_manager_from_config(hass, [], [])
    for name, settings in (("homeassistant", {}), ("http", http), ("mqtt", {})):
        assert await setup.async_setup_component(hass, name, {name: settings} if settings else {}), name
    await hass.async_start()
    return hass


def states(hass: HomeAssistant) -> dict[str, Any]:
    devices = device_registry.async_get(hass)
    found = {}
    for entity in entity_registry.async_get(hass).entities.values():
        state = hass.states.get(entity.entity_id)
        device = devices.async_get(entity.device_id or "")
        found[entity.unique_id] = {
            "entity_id": entity.entity_id,
            "state": state and state.state,
            "attributes": dict(state.attributes) if state else {},
            "disabled": entity.disabled,
            "device": device and device.name,
        }
    return found


def devices(hass: HomeAssistant) -> list[dict[str, Any]]:
    registry = device_registry.async_get(hass)
    by_id = {each.id: each for each in registry.devices.values()}
    return [
        {
            "name": each.name,
            "identifiers": sorted(name for _, name in each.identifiers),
            "via": sorted(name for _, name in by_id[each.via_device_id].identifiers)
            if each.via_device_id
            else [],
        }
        for each in by_id.values()
    ]


async def answer(hass: HomeAssistant, question: str) -> object:
    verb, _, unique_id = question.partition(" ")
    if verb == "states":
        return states(hass)
    if verb == "devices":
        return devices(hass)
    entity_id = states(hass)[unique_id]["entity_id"]
    domain = entity_id.partition(".")[0]
    await hass.services.async_call(domain, verb, {"entity_id": entity_id}, blocking=True)
    return None


async def main() -> None:
    prepare()
    hass = await started()
    loop = asyncio.get_running_loop()
    while question := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        reply = await answer(hass, question)
        sys.stdout.write(json.dumps(reply, default=str) + "\n")
        sys.stdout.flush()
    await hass.async_stop(force=True)


asyncio.run(main())

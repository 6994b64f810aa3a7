"""Name of the agent at the broker, which stays the same as long as the state folder does."""

import json
import re
import secrets
import socket
from pathlib import Path

from agent_core.plugin import DependencyFailed
from agent_core.plugin.state import explain_os_error, read_small, refuse_later, write_atomic

__all__ = ("AGENT_ID", "kept_agent_id")

AGENT_ID = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_FILE = "mqtt_bridge_agent.json"
_VERSION = 1
#: Forty bits: boxes of one image have one host name, and a hundred thousand of them must not meet.
_RANDOM_BYTES = 5


def kept_agent_id(folder: Path, *, hostname: str | None = None) -> str:
    """Return the id in the state folder; make it from the host name and random digits at the first call.

    Blocks on the disk.

    Raises:
        DependencyFailed: the file is damaged, or cannot be read or written (StorageFailed).
        LaterState: a later version of the agent has written the file.
    """
    path = folder / _FILE
    try:
        try:
            content = read_small(path)
        except FileNotFoundError:
            made = _made(socket.gethostname() if hostname is None else hostname)
            write_atomic(path, json.dumps({"version": _VERSION, "id": made}).encode())
            return made
    except OSError as error:
        raise explain_os_error(error, "read or store the agent's id for MQTT") from error
    refuse_later(_FILE, content, _VERSION)
    return _parsed(content)


def _parsed(content: bytes) -> str:
    try:
        found = json.loads(content)["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = None
    if not isinstance(found, str) or not AGENT_ID.fullmatch(found):
        raise DependencyFailed(
            f"The file {_FILE} in the state folder, which keeps the agent's id for MQTT, is damaged.",
            reason="mqtt_agent_id",
            dependency="storage",
            suggestion="Set agent_id in [plugins.mqtt_bridge] to the former id, or delete the file for a new one.",
        )
    return found


def _made(hostname: str) -> str:
    name = re.sub(r"[^a-z0-9\-]+", "-", hostname.partition(".")[0].lower()).strip("-")[:40] or "agent"
    return f"{name}-{secrets.token_hex(_RANDOM_BYTES)}"

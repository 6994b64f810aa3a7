"""Commands `fleet new-key` and `fleet agent-key`."""

import argparse
import os
from typing import TYPE_CHECKING

from agent_core.plugin.commands import CommandFailed, CommandOutput, UsageFailed
from agent_core.plugin.state import explain_os_error
from mqtt_bridge.client import agent_key, key_id, new_fleet_key
from mqtt_bridge.fleet.access import given_file, read_key
from mqtt_bridge.identity import AGENT_ID

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ("run_agent_key", "run_new_key")


def run_new_key(arguments: argparse.Namespace, output: CommandOutput) -> int:
    """Make a key of a fleet, and store it in a new file that only its owner can read."""
    path: Path = arguments.output
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{new_fleet_key()}\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise CommandFailed(
            f"The file {path} exists.",
            reason="file_exists",
            suggestion="Choose another name: a key that is lost cannot be made again.",
        ) from error
    except OSError as error:
        raise explain_os_error(error, f"write the key file {path}") from error
    output.print_result(
        {"output": str(path)}, [f"{path}: the key of a new fleet. Keep it, and show it to no agent."]
    )
    return 0


def run_agent_key(arguments: argparse.Namespace, output: CommandOutput) -> int:
    """Print the key of one agent of the fleet."""
    if not AGENT_ID.fullmatch(arguments.agent):
        raise UsageFailed(
            f"'{arguments.agent}' is not the id of an agent.",
            reason="bad_agent",
            suggestion="See `camera-agent fleet list` for the ids.",
        )
    file = given_file(arguments, "mqtt_key_file")
    keys = read_key(file) if file is not None else None
    if keys is None or not keys.is_of_fleet:
        raise UsageFailed(
            "The key of the fleet is not given.",
            reason="no_fleet_key",
            suggestion="Give the file that `camera-agent fleet new-key` made with --mqtt-key-file.",
        )
    key = agent_key(keys.text, arguments.agent)
    output.print_result({"agent": arguments.agent, "key": key, "id": key_id(key)}, [key])
    return 0

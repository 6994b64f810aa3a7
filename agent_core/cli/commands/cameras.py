"""Command `cameras`."""

import argparse
from functools import partial
from typing import Any

from agent_core.cli.access import connected
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command
from agent_core.cli.output import print_result, table

__all__ = ("add",)

_COLUMNS = ("device", "name", "status", "resolution", "fps")
_NONE = "No cameras. `camera-agent plugins list` shows the plugins that could find some."


def add(commands: "Commands[Parser]") -> None:
    add_agent_options(add_command(commands, "cameras", _cameras, "List the cameras."))


def _cameras(arguments: argparse.Namespace) -> int:
    import anyio

    listed = anyio.run(partial(_fetch, arguments))
    rows = [[camera.get(column, "") for column in _COLUMNS] for camera in listed["cameras"]]
    lines = table([column.upper() for column in _COLUMNS], rows) if rows else [_NONE]
    print_result(listed, lines, as_json=arguments.json)
    return 0


async def _fetch(arguments: argparse.Namespace) -> Any:
    async with connected(arguments) as agent:
        return await agent.call("get_camera_list")

"""Command `version`."""

import argparse
import platform

from agent_core import __version__
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import print_result

__all__ = ("add",)


def add(commands: "Commands[Parser]") -> None:
    add_command(commands, "version", _version, "Print the version.")


def _version(arguments: argparse.Namespace) -> int:
    value = {"name": "camera-agent", "version": __version__, "python_version": platform.python_version()}
    print_result(value, [f"camera-agent {__version__}"], as_json=arguments.json)
    return 0

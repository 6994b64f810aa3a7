"""Command `run`."""

import argparse
import gc
from collections.abc import Callable
from pathlib import Path

from agent_core.base.errors import AgentError, ConfigError
from agent_core.cli.exits import ExitCode, explain
from agent_core.cli.loading import find_files
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.standard_streams import print_error

__all__ = ("add", "run_agent")


def add(commands: "Commands[Parser]") -> None:
    add_command(commands, "run", _run, "Run the agent until a signal ends it.")


def _run(arguments: argparse.Namespace) -> int:
    gc.disable()  # Imports make many lasting objects and little garbage; `main` enables it once the agent listens.
    from agent_core.app import main

    return run_agent(main, arguments.config, as_json=arguments.json)


def run_agent(start: Callable[[tuple[Path, ...]], int], config: Path | None, *, as_json: bool) -> int:
    """Call `start` with the configuration files and return the exit code; report errors of the start."""
    try:
        return start(find_files(config))
    except ConfigError:
        raise
    except AgentError as error:
        print_error(explain(error, ExitCode.START, as_json=as_json))
        return ExitCode.START

"""Command `run`."""

import argparse
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from agent_core.base.errors import AgentError, ConfigError
from agent_core.cli.exits import ExitCode, explain
from agent_core.cli.loading import find_files
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.standard_streams import print_error

if TYPE_CHECKING:
    from types import FrameType

__all__ = ("add", "run_agent")

#: Time in which calls in worker threads end by themselves after the agent.
_THREADS_END_S = 2.0


def add(commands: "Commands[Parser]") -> None:
    parser = add_command(commands, "run", _run, "Run the agent until a signal ends it.")
    parser.add_argument("--safe-mode", action="store_true", help="load only plugins that came with the agent")


def _run(arguments: argparse.Namespace) -> int:
    if os.getpid() == 1:  # the kernel drops a SIGTERM to PID 1 that has no handler; later the agent has one
        signal.signal(signal.SIGTERM, _end)
    signal.signal(
        signal.SIGHUP, signal.SIG_IGN
    )  # until `main` receives it, before it reads the configuration
    gc.disable()  # Imports make many lasting objects and little garbage; `main` enables it once the agent listens.
    from agent_core.app import main

    start = partial(main, safe_mode=arguments.safe_mode)
    code = run_agent(start, arguments.config, as_json=arguments.json)
    _leave_hanging_threads(code)
    return code


def _leave_hanging_threads(code: int) -> None:
    """End the process now if worker threads hang, as at a disk that does not answer: the interpreter would wait for them."""
    ends_s = time.monotonic() + _THREADS_END_S
    workers = [
        each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon
    ]
    for each in workers:
        each.join(max(0.0, ends_s - time.monotonic()))
    hanging = sum(each.is_alive() for each in workers)
    if hanging:
        print_error(
            f"camera-agent: the agent ends without waiting for calls that do not return ({hanging}): a disk or a device hangs."
        )
        os._exit(code)


def _end(number: int, _frame: "FrameType | None") -> NoReturn:
    """Exit as a shell reports a process that ended by this signal."""
    sys.exit(128 + number)


def run_agent(
    start: Callable[[Callable[[], tuple[Path, ...]]], int], config: Path | None, *, as_json: bool
) -> int:
    """Call `start` with what finds the configuration files and return the exit code; report errors of the start."""
    try:
        return start(partial(find_files, config))
    except ConfigError:
        raise
    except AgentError as error:
        print_error(explain(error, ExitCode.START, as_json=as_json))
        return ExitCode.START

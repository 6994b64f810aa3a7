"""Hook commands: programs run for a path, each stopped by one SIGINT to its process group."""

import logging
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from agent_core.plugin.ffmpeg import explain
from agent_core.plugin.processes import Tail, child, handed_on

if TYPE_CHECKING:
    from anyio.abc import Process

__all__ = ("HookCommand", "expand")

_log = logging.getLogger("camera_agent.embedded_server")

_VARIABLE = re.compile(r"\$(?:\{([A-Za-z0-9_]+)\}|([A-Za-z0-9_]+))")
_RESTART_PAUSE_S = 5.0
_LAST_WORDS_S = 0.2


def expand(command: str, variables: Mapping[str, str]) -> list[str]:
    """Split `command` as a POSIX shell does and replace `$NAME` in each word; unknown names become empty.

    Raises:
        ValueError: a quotation is not closed.
    """
    known = {**handed_on(os.environ), **variables}
    return [
        _VARIABLE.sub(lambda found: known.get(found[1] or found[2], ""), word)
        for word in shlex.split(command)
    ]


class HookCommand:
    """Hook of a path, from start to stop. Call `run` in the server's task group.

    Stopping sends one SIGINT and does not wait. As with MediaMTX, a program that ignores it runs until the server ends
    and is killed then.
    """

    def __init__(self, command: str, variables: Mapping[str, str], *, restart: bool) -> None:
        self._command = command
        self._variables = variables
        self._restart = restart
        self._stopped = anyio.Event()
        self._process: Process | None = None

    def stop(self) -> None:
        """Send SIGINT to the program's process group; do nothing if it has ended."""
        if self._stopped.is_set():
            return
        self._stopped.set()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)

    async def run(self) -> None:
        """Run the program until it exits or, with `restart`, until `stop`; cancelling kills it."""
        try:
            argv = expand(self._command, self._variables)
            while not self._stopped.is_set():
                await self._once(argv)
                if not self._restart:
                    return
                with anyio.move_on_after(_RESTART_PAUSE_S):
                    await self._stopped.wait()
        except (OSError, ValueError) as error:
            _log.warning(
                "A hook command cannot run: %s. Check the runOn* options of the path.", type(error).__name__
            )

    async def _once(self, argv: list[str]) -> None:
        if not argv:
            return
        environment = {**os.environ, **self._variables}
        async with child(argv, stdout=subprocess.DEVNULL, env=environment) as process:
            self._process = process
            if self._stopped.is_set():
                os.killpg(process.pid, signal.SIGINT)
            tail = Tail()
            assert process.stderr is not None  # noqa: S101 - PIPE is the default
            async with anyio.create_task_group() as tg:
                tg.start_soon(tail.follow, process.stderr)
                returncode = await process.wait()
                # A child of the program may outlive it and keep the pipe open.
                tg.cancel_scope.deadline = anyio.current_time() + _LAST_WORDS_S
        if returncode and not self._stopped.is_set():
            _log.warning(
                "A hook command ended with %d: %s", returncode, explain(tail.text, returncode).detail
            )

"""Reaper of orphans, for an agent that is the first process of a container (PID 1).

The kernel gives the children of ended processes to PID 1, which must collect their exit statuses: otherwise each
stays in the table of processes. Examples are the FFmpeg of a MediaMTX that was killed, and what `docker exec` leaves.
"""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent_core.base.clock import Clock

__all__ = ("reap_orphans",)

_log = logging.getLogger("camera_agent.processes")

_PROC = Path("/proc")
#: Time in which the code that started a child collects its exit status. asyncio does so in the next turn of the event loop.
PATIENCE_S = 2.0


@dataclass(frozen=True, slots=True)
class _Dead:
    """Child of this process that has ended and waits to be reaped. A later process may get its id, but not its start."""

    pid: int
    start_ticks: int


async def reap_orphans(clock: Clock) -> None:
    """Reap the orphans that this process adopts, until cancelled. Runs in the main thread.

    Each exit status is left to the code that started the child: a child is reaped only if it is still there
    `PATIENCE_S` after its death. One in this process's session was started by a plugin with means of its own, because
    `agent_core.base.processes` gives each child a session, and is never reaped: its status may be asked for later.
    """
    with anyio.open_signal_receiver(signal.SIGCHLD) as deaths:
        while True:
            suspects = _dead()
            while suspects:
                await clock.sleep(PATIENCE_S)
                dead = _dead()
                for each in suspects & dead:
                    _reap(each.pid)
                suspects = dead - suspects
            await anext(aiter(deaths))


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # its owner was faster
        os.waitpid(pid, os.WNOHANG)
        _log.debug("reaped the orphan %d", pid)


def _dead() -> frozenset[_Dead]:
    return frozenset(_dead_children(os.getpid(), os.getsid(0)))


def _dead_children(parent: int, session: int) -> Iterator[_Dead]:
    """Yield the dead children of `parent` that are not in `session`.

    With 0, which stands for all sessions from outside the container, they cannot be told apart: then yield all.
    """
    for each in _PROC.iterdir():
        if not each.name.isdigit():
            continue
        try:
            words = (each / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has been reaped meanwhile
            continue
        # Fields 3, 4, 6 and 22 of proc_pid_stat(5).
        state, its_parent, its_session, start_ticks = words[0], int(words[1]), int(words[3]), int(words[19])
        if state == "Z" and its_parent == parent and (its_session != session or session == 0):
            yield _Dead(int(each.name), start_ticks)

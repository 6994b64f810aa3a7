"""Saver of one state file: writes each change, and tries again with growing pauses while the disk refuses."""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
from pydantic import BaseModel

from agent_core.base.clock import Clock
from agent_core.base.errors import StorageFailed
from agent_core.base.files import StateFile
from agent_core.base.waiting import GrowingPauses
from agent_core.base.workers import WorkerPool

__all__ = ("FIRST_PAUSE_S", "LONGEST_PAUSE_S", "StateSaver")

_log = logging.getLogger("camera_agent.state")

M = TypeVar("M", bound=BaseModel)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0


class StateSaver(Generic[M]):
    """Keeps a state file equal to a value in memory. The owner of the value runs `run` in one of its tasks.

    Args:
        file: the file.
        value: returns what to store now; called in the event loop.
    """

    def __init__(self, file: StateFile[M], value: Callable[[], M]) -> None:
        self._file = file
        self._value = value
        self._threads = WorkerPool(1)
        self._problem: StorageFailed | None = None
        self._changed = anyio.Event()
        self._tried = anyio.Event()
        #: Numbers of the newest change, and of the newest one that is stored.
        self._change = self._stored = 0

    @property
    def problem(self) -> StorageFailed | None:
        """Error of the last write; None after a successful one."""
        return self._problem

    def changed(self) -> None:
        """Note that the value has changed, so that it is written soon."""
        self._change += 1
        self._changed.set()

    async def wait_stored(self, limit_s: float) -> bool:
        """Wait up to `limit_s` until the last change is stored; return False if it is not, at once while the disk refuses."""
        wanted = self._change
        with anyio.move_on_after(limit_s):
            while self._stored < wanted and self._problem is None:
                await self._tried.wait()
        return self._stored >= wanted

    async def run(self, clock: Clock) -> None:
        """Write the file after each change until cancelled, and the last changes then.

        A failed write is logged and tried again after a pause of `clock`, of 1 to 60 s, growing until a write succeeds.
        """
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        try:
            while True:
                await self._changed.wait()
                if await self._store():
                    pauses.reset()
                else:
                    await clock.sleep(pauses.next_s())
        except anyio.get_cancelled_exc_class():
            if self._changed.is_set():
                with anyio.CancelScope(shield=True):
                    await self._store()
            raise

    async def _store(self) -> bool:
        """Write the value; return False if the disk refused."""
        self._changed, change = anyio.Event(), self._change
        try:
            await self._threads.run(self._file.save, self._value())
        except BaseException as error:
            self._changed.set()
            if not isinstance(error, StorageFailed):
                raise
            self._problem = error
            _log.error("%s %s", error.details, error.suggestion)
            return False
        else:
            self._problem, self._stored = None, change
            return True
        finally:
            self._tried.set()
            self._tried = anyio.Event()

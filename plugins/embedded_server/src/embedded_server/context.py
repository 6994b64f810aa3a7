"""What every part of the running server needs of it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from agent_core.plugin import Clock
from embedded_server.faults import Faults

if TYPE_CHECKING:
    from agent_core.plugin.rtsp import Credentials
    from embedded_server.recording.roots import RecordingRoots

__all__ = ("Surroundings", "Timer")

_log = logging.getLogger("camera_agent.embedded_server")


@dataclass(slots=True)
class Surroundings:
    """`tasks` is the server's task group: whatever runs in it ends with the server. `rtsp_port` is the bound one.

    `agent` are the credentials of the agent itself: for the API, where they alone may set commands, and for reading.
    """

    tasks: TaskGroup
    clock: Clock
    faults: Faults
    roots: "RecordingRoots"
    agent: "Credentials"
    rtsp_port: int = 0
    legacy: bool = False

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` for as long as the server runs; if it fails, that is logged and costs nobody else anything."""
        self.tasks.start_soon(self.guarded, task)

    async def guarded(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` here; a failure ends with it."""
        try:
            await task()
        except Exception:  # noqa: BLE001 - one client's or camera's surprise must not end the server for all
            _log.exception("A task of the embedded server failed.")


@dataclass(slots=True)
class Timer:
    """One action later, or not at all."""

    surroundings: Surroundings
    _scope: anyio.CancelScope | None = field(default=None, init=False)

    def start(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` in `delay_s` seconds, instead of what was planned before."""
        self.cancel()
        self._scope = anyio.CancelScope()
        self.surroundings.tasks.start_soon(self._run, self._scope, delay_s, action)

    def cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    async def _run(self, scope: anyio.CancelScope, delay_s: float, action: Callable[[], None]) -> None:
        with scope:
            await self.surroundings.clock.sleep(delay_s)
            self._scope = None
            action()

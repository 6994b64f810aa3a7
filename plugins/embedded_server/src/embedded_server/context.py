"""Context that the parts of the running server share."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from agent_core.plugin import Clock
from embedded_server.faults import Faults

if TYPE_CHECKING:
    from agent_core.plugin import CameraRedirects
    from agent_core.plugin.rtsp import Credentials
    from embedded_server.recording.roots import RecordingRoots

__all__ = ("ServerContext", "Timer")

_log = logging.getLogger("camera_agent.embedded_server")


@dataclass(slots=True)
class ServerContext:
    """Shared objects and facts of the running server.

    Attributes:
        tasks: the server's task group; its tasks end with the server.
        agent: the agent's own credentials, for reading and for the API, where they alone may set commands.
        redirects: judge of the redirects of cameras; None outside an agent.
        rtsp_port: the bound port.
    """

    tasks: TaskGroup
    clock: Clock
    faults: Faults
    roots: "RecordingRoots"
    agent: "Credentials"
    redirects: "CameraRedirects | None" = None
    rtsp_port: int = 0
    legacy: bool = False

    def spawn(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` until the server ends at the latest; a failure is logged and affects no other task."""
        self.tasks.start_soon(self.guarded, task)

    async def guarded(self, task: Callable[[], Awaitable[None]]) -> None:
        """Run `task` and log its failure instead of raising it."""
        try:
            await task()
        except Exception:  # noqa: BLE001 - a failure for one client or camera must not end the server
            _log.exception("A task of the embedded media server failed; the server continues.")


@dataclass(slots=True)
class Timer:
    """Timer for one action at a time."""

    context: ServerContext
    _scope: anyio.CancelScope | None = field(default=None, init=False)

    def start(self, delay_s: float, action: Callable[[], None]) -> None:
        """Call `action` after `delay_s` seconds, in place of the action planned before."""
        self.cancel()
        self._scope = anyio.CancelScope()
        self.context.tasks.start_soon(self._run, self._scope, delay_s, action)

    def cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
            self._scope = None

    async def _run(self, scope: anyio.CancelScope, delay_s: float, action: Callable[[], None]) -> None:
        with scope:
            await self.context.clock.sleep(delay_s)
            self._scope = None
            action()

"""Monitor of the camera sources: each runs as long as the agent and is restarted when it fails."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.clock import Clock
from agent_core.base.containment import contained
from agent_core.base.errors import AgentError, DependencyFailed
from agent_core.base.tasks import OnStarted, in_own_task
from agent_core.base.waiting import GrowingPauses
from agent_core.cameras.ledger import Ledger
from agent_core.cameras.registry import CameraRegistry, SourceReport
from agent_core.plugin import CameraSource

__all__ = ("CameraMonitor", "Discovery", "SourceState")

_log = logging.getLogger("camera_agent.cameras")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0


class SourceState(StrEnum):
    STARTING = "STARTING"
    WATCHING = "WATCHING"
    FAILED = "FAILED"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class Discovery:
    """Progress of the sources. `active` until all have reported a first inventory."""

    sources: tuple[tuple[str, SourceState], ...]
    problems: tuple[AgentError, ...]

    @property
    def active(self) -> bool:
        return any(state is SourceState.STARTING for _, state in self.sources)

    @property
    def any_settled(self) -> bool:
        return any(state is not SourceState.STARTING for _, state in self.sources)


class CameraMonitor:
    """Runs all sources and keeps the ledger's file up to date."""

    def __init__(
        self, sources: Sequence[CameraSource], registry: CameraRegistry, ledger: Ledger, *, clock: Clock
    ) -> None:
        self._sources = tuple(sources)
        self._registry = registry
        self._ledger = ledger
        self._clock = clock
        self._states = {source.name: SourceState.STARTING for source in self._sources}
        self._problems: dict[str, AgentError] = {}
        self._changed = anyio.Event()

    @property
    def discovery(self) -> Discovery:
        unsaved = (self._ledger.problem,) if self._ledger.problem else ()
        return Discovery(tuple(self._states.items()), (*self._problems.values(), *unsaved))

    async def wait_settled(self) -> None:
        """Return when every source has reported a first inventory, failed or ended."""
        while self.discovery.active:
            await self._changed.wait()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Watch the sources until cancelled. Reports started at once: the agent serves during discovery."""
        self._registry.restore(source.name for source in self._sources)
        task_status.started()
        async with anyio.create_task_group() as tg:
            tg.start_soon(self._ledger.keep_saved, self._clock)
            for source in self._sources:
                tg.start_soon(self._watch, source)

    def _set_state(self, source: CameraSource, state: SourceState, problem: AgentError | None = None) -> None:
        self._states[source.name] = state
        self._problems.pop(source.name, None)
        if problem is not None:
            self._problems[source.name] = problem
        self._changed.set()
        self._changed = anyio.Event()

    async def _watch(self, source: CameraSource) -> None:
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        while True:
            try:
                await in_own_task(partial(self._watch_once, source))
            except Exception as error:  # noqa: BLE001 - foreign code; only its own cameras are affected
                _log.exception("the source %s failed", source.name)
                self._registry.source_failed(source.name, "Its source failed.")
                self._set_state(source, SourceState.FAILED, _explained(source, error))
            else:
                self._set_state(source, SourceState.ENDED)
                return
            await self._clock.sleep(pauses.next_s())

    async def _watch_once(self, source: CameraSource) -> None:
        with contained(f"The camera source {source.name}"):
            inventory = OnStarted(partial(self._set_state, source, SourceState.WATCHING))
            await source.watch(SourceReport(self._registry, source.name), task_status=inventory)


def _explained(source: CameraSource, error: Exception) -> AgentError:
    if isinstance(error, AgentError):
        return error
    return DependencyFailed(
        f"The camera source {source.name} failed: {type(error).__name__}.",
        reason="source_failed",
        suggestion="See the agent's log for the whole error; the source is restarted with growing pauses.",
        dependency=source.name,
    )

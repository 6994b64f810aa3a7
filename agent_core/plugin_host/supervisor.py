"""Supervision of components: run them, restart them with growing pauses, report their states."""

import logging
from collections.abc import Iterable
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
from agent_core.plugin import Component

__all__ = ("ComponentState", "Supervisor")

_log = logging.getLogger("camera_agent.supervisor")

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
#: Running time after which the next failure starts with the first pause again.
STEADY_S = 60.0


class ComponentState(StrEnum):
    """State of a component."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    ERROR = "ERROR"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"


class Supervisor:
    """Owner of the components' tasks. `run` ends when it is cancelled and every component has ended."""

    def __init__(self, components: Iterable[Component], *, clock: Clock) -> None:
        self._components = tuple(components)
        self._clock = clock
        self._problems: dict[str, AgentError] = {}
        self._states = {component.name: ComponentState.STOPPED for component in self._components}
        self._began = {component.name: anyio.Event() for component in self._components}

    @property
    def components(self) -> tuple[Component, ...]:
        return self._components

    @property
    def states(self) -> dict[str, ComponentState]:
        """States by component name."""
        return dict(self._states)

    def problem(self, name: str) -> AgentError | None:
        """Return the error that keeps the component from running, or that it shows while it runs; None if there is none."""
        failed = self._problems.get(name)
        if failed is not None or self._states[name] is not ComponentState.RUNNING:
            return failed
        component = next(each for each in self._components if each.name == name)
        try:
            return component.problem
        except Exception:  # noqa: BLE001 - foreign code; the component runs all the same
            return None

    async def wait_began(self, name: str) -> None:
        """Return when the component begins to serve next."""
        await self._began[name].wait()

    def _set_state(self, name: str, state: ComponentState) -> None:
        self._states[name] = state
        if state is ComponentState.RUNNING:
            if self._problems.pop(name, None) is not None:
                _log.info("%s works again", name, extra={"fields": {"component": name}})
            self._began[name].set()
            self._began[name] = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Run all components until cancelled. Reports started at once, without waiting for any component."""
        task_status.started()
        async with anyio.create_task_group() as tg:
            for component in self._components:
                tg.start_soon(self._keep_running, component)

    async def _keep_running(self, component: Component) -> None:
        pauses = GrowingPauses(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        name = component.name
        while True:
            self._set_state(name, ComponentState.STARTING)
            began_s = self._clock.monotonic_s()
            try:
                await in_own_task(partial(self._run, component))
            except Exception as error:  # noqa: BLE001 - foreign code; only this component fails
                self._failed(name, error)
            except anyio.get_cancelled_exc_class():
                self._set_state(name, ComponentState.STOPPED)
                raise
            else:
                self._set_state(name, ComponentState.STOPPED)
                return
            if self._clock.monotonic_s() - began_s >= STEADY_S:
                pauses.reset()
            await self._clock.sleep(pauses.next_s())

    async def _run(self, component: Component) -> None:
        name = component.name
        with contained(f"The component {name}"):
            await component.run(task_status=OnStarted(partial(self._set_state, name, ComponentState.RUNNING)))

    def _failed(self, name: str, error: Exception) -> None:
        """Log `error`, and keep it as the component's problem until the component serves again.

        A component that is never well, such as one for hardware that is missing, would repeat itself each minute for
        years: the same problem is an error in the log only once.
        """
        fields = {"fields": {"component": name}}
        if isinstance(error, AgentError):
            fields["fields"]["reason"] = error.reason
            known = self._problems.get(name)
            level = logging.DEBUG if known is not None and known.details == error.details else logging.ERROR
            _log.log(level, "%s failed: %s %s", name, error.details, error.suggestion, extra=fields)
        else:
            _log.error("%s failed", name, exc_info=error, extra=fields)
        self._problems[name] = error if isinstance(error, AgentError) else _explained(name, error)
        self._set_state(name, ComponentState.ERROR)


def _explained(name: str, error: Exception) -> DependencyFailed:
    return DependencyFailed(
        f"The component {name} failed: {type(error).__name__}.",
        reason="component_failed",
        suggestion="See the agent's log for the whole error. The component is restarted with growing pauses.",
        dependency=name,
    )

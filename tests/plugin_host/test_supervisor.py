"""Components: kept running, with growing pauses and a known state."""

import asyncio
import logging

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.errors import AgentError, StartFailed
from agent_core.plugin import Component
from agent_core.plugin_host.supervisor import ComponentState, Supervisor
from agent_core.testing.clock import SimulatedClock


class Scripted(Component):
    def __init__(self, *, fails: bool = False, returns: bool = False) -> None:
        self._fails = fails
        self._returns = returns
        self.runs = 0

    @property
    def name(self) -> str:
        return "scripted"

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        self.runs += 1
        if self._fails:
            raise RuntimeError("broken")
        task_status.started()
        if not self._returns:
            await anyio.sleep_forever()


class Restarting(Scripted):
    """Serves, and fails when `fall` is set for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.fall = anyio.Event()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        task_status.started()
        await self.fall.wait()
        self.fall = anyio.Event()
        raise RuntimeError("it fell")


class Steady(Scripted):
    @property
    def name(self) -> str:
        return "steady"


async def test_a_failing_component_is_restarted_with_growing_pauses() -> None:
    component, clock = Scripted(fails=True), SimulatedClock()
    supervisor = Supervisor([component], clock=clock)
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        for pause_s in (1.0, 2.0, 4.0, 8.0):
            await clock.advance(pause_s)
        assert component.runs == 5
        assert supervisor.states == {"scripted": ComponentState.ERROR}
        assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0]
        tg.cancel_scope.cancel()


async def test_states_follow_the_component() -> None:
    running, done = Scripted(), Scripted(returns=True)
    for component, state in ((running, ComponentState.RUNNING), (done, ComponentState.STOPPED)):
        supervisor = Supervisor([component], clock=SimulatedClock())
        async with anyio.create_task_group() as tg:
            await tg.start(supervisor.run)
            await anyio.wait_all_tasks_blocked()
            assert supervisor.states == {"scripted": state}
            tg.cancel_scope.cancel()
        assert supervisor.states == {"scripted": ComponentState.STOPPED}


async def test_each_begin_of_service_can_be_waited_for() -> None:
    component, clock = Restarting(), SimulatedClock()
    supervisor = Supervisor([component], clock=clock)
    begins = 0

    async def count() -> None:
        nonlocal begins
        while True:
            await supervisor.wait_began("scripted")
            begins += 1

    async with anyio.create_task_group() as tg:
        tg.start_soon(count)
        await anyio.wait_all_tasks_blocked()
        await tg.start(supervisor.run)
        await anyio.wait_all_tasks_blocked()
        assert begins == 1
        component.fall.set()
        await clock.advance(1.0)
        await anyio.wait_all_tasks_blocked()
        assert begins == 2
        tg.cancel_scope.cancel()


async def test_why_a_component_does_not_run_is_known_until_it_does() -> None:
    class Refusing(Scripted):
        async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
            if not self.runs:
                self.runs += 1
                raise StartFailed("The port is taken.", reason="port_in_use")
            await super().run(task_status=task_status)

    clock = SimulatedClock()
    supervisor = Supervisor([Refusing()], clock=clock)
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        await anyio.wait_all_tasks_blocked()
        problem = supervisor.problem("scripted")
        assert problem is not None
        assert problem.reason == "port_in_use"
        await clock.advance(1.0)
        assert supervisor.problem("scripted") is None
        tg.cancel_scope.cancel()


async def test_the_same_problem_is_an_error_in_the_log_only_once(caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(Scripted):
        async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
            self.runs += 1
            if self.runs == 5:
                await super().run(task_status=task_status)
            raise StartFailed(f"The port {self.runs // 4} is taken.", reason="port_in_use")

    caplog.set_level(logging.INFO, logger="camera_agent.supervisor")
    component, clock = Refusing(), SimulatedClock()
    async with anyio.create_task_group() as tg:
        await tg.start(Supervisor([component], clock=clock).run)
        for pause_s in (1.0, 2.0, 4.0, 8.0):
            await clock.advance(pause_s)
        tg.cancel_scope.cancel()
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "scripted failed: The port 0 is taken. See the agent's log for more.",
        "scripted failed: The port 1 is taken. See the agent's log for more.",
        "scripted works again",
    ]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    "error", [SystemExit(0), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
async def test_what_would_end_the_agent_ends_only_the_component(
    error: BaseException, *, started: bool
) -> None:
    class Leaving(Scripted):
        async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
            self.runs += 1
            if started:
                task_status.started()
            raise error

    leaving, other, clock = Leaving(), Steady(), SimulatedClock()
    supervisor = Supervisor([leaving, other], clock=clock)
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        await anyio.wait_all_tasks_blocked()
        assert supervisor.states == {"scripted": ComponentState.ERROR, "steady": ComponentState.RUNNING}
        problem = supervisor.problem("scripted")
        assert problem is not None
        assert type(error).__name__ in problem.details
        await clock.advance(1.0)
        assert leaving.runs == 2
        tg.cancel_scope.cancel()


async def test_any_failure_is_a_problem_that_can_be_shown() -> None:
    supervisor = Supervisor([Scripted(fails=True)], clock=SimulatedClock())
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        await anyio.wait_all_tasks_blocked()
        problem = supervisor.problem("scripted")
        assert problem is not None
        assert problem.details == "The component scripted failed: RuntimeError."
        tg.cancel_scope.cancel()


class Lonely(Scripted):
    """Runs, and shows a problem or fails to."""

    shown: Exception | None = None

    @property
    def problem(self) -> AgentError | None:
        if self.shown is None or isinstance(self.shown, AgentError):
            return self.shown
        raise self.shown


async def test_a_component_that_runs_may_show_a_problem() -> None:
    component = Lonely()
    supervisor = Supervisor([component], clock=SimulatedClock())
    component.shown = StartFailed("The server is away.")
    assert supervisor.problem("scripted") is None
    async with anyio.create_task_group() as tg:
        await tg.start(supervisor.run)
        await supervisor.wait_began("scripted")
        assert supervisor.problem("scripted") is component.shown
        assert supervisor.states["scripted"] is ComponentState.RUNNING
        component.shown = RuntimeError("a fault of the plugin")
        assert supervisor.problem("scripted") is None
        tg.cancel_scope.cancel()

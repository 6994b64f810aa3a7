"""Tasks of a service end with it; shielded tasks end when their owner stops them, kind after kind."""

from contextlib import ExitStack
from functools import partial

import anyio
import pytest
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.base.tasks import (
    OnStarted,
    OwnedTasks,
    ShieldedTasks,
    at_the_end_of_the_task,
    in_own_task,
)


async def test_a_task_starts_only_while_the_group_is_open() -> None:
    tasks, started = OwnedTasks(), anyio.Event()

    async def work(name: str) -> None:
        assert name == "camera0"
        started.set()

    with pytest.raises(RuntimeError, match=r"run\(\) does not run"):
        tasks.start_soon(work, "camera0")
    async with tasks.open():
        assert tasks.is_open
        tasks.start_soon(work, "camera0")
        with anyio.fail_after(20):
            await started.wait()
    with pytest.raises(RuntimeError):
        tasks.start_soon(work, "camera0")


async def test_no_task_starts_while_the_group_waits_for_its_end() -> None:
    tasks, refused = OwnedTasks(), []

    async def late() -> None:
        await anyio.lowlevel.checkpoint()
        try:
            tasks.start_soon(late)
        except RuntimeError as error:
            refused.append(str(error))

    async with tasks.open():
        tasks.start_soon(late)
    assert len(refused) == 1


async def test_the_tasks_end_when_their_service_is_cancelled() -> None:
    tasks, ended = OwnedTasks(), anyio.Event()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async def run() -> None:
        async with tasks.open():
            tasks.start_soon(work)
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tg:
        tg.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()
    assert ended.is_set()
    assert not tasks.is_open


class Journal:
    """Tasks that note their end; a task ends two turns of the event loop after its cancellation."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def task(self, name: str, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        task_status.started()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                await anyio.lowlevel.checkpoint()
            self.ended.append(name)


async def test_shielded_tasks_outlive_a_cancellation_and_end_kind_after_kind() -> None:
    journal, before_stop = Journal(), []

    async def run() -> None:
        async with anyio.create_task_group() as group:
            first, last = ShieldedTasks(group), ShieldedTasks(group)
            try:
                await last.start(journal.task, "last")
                await first.start(journal.task, "first")
                await first.start(journal.task, "first too")
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.wait_all_tasks_blocked()
                    before_stop.extend(journal.ended)
                    await first.stop()
                    await last.stop()

    async with anyio.create_task_group() as tg:
        tg.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()
    assert before_stop == []
    assert sorted(journal.ended[:2]) == ["first", "first too"]
    assert journal.ended[2:] == ["last"]


async def test_the_failure_of_a_shielded_task_leaves_the_others_to_their_owner() -> None:
    journal, at_failure = Journal(), []

    async def failing(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        raise LookupError

    async def run() -> None:
        async with anyio.create_task_group() as group:
            tasks = ShieldedTasks(group)
            try:
                await tasks.start(journal.task, "other")
                await tasks.start(failing)
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    at_failure.extend(journal.ended)
                    await tasks.stop()

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(LookupError)
    assert at_failure == []
    assert journal.ended == ["other"]


async def test_a_shielded_task_that_fails_before_it_has_started_fails_its_start() -> None:
    async def failing(*, task_status: TaskStatus[None]) -> None:
        raise LookupError

    async with anyio.create_task_group() as group:
        tasks = ShieldedTasks(group)
        with pytest.raises(LookupError):
            await tasks.start(failing)
        await tasks.stop()


@pytest.mark.parametrize("started", [False, True])
async def test_a_cancelled_start_ends_its_task(started: bool) -> None:
    """With a task that starts in the turn in which its starter is cancelled, and with one that never does."""
    ended = anyio.Event()

    async def work(scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        try:
            scope.cancel()
            if started:
                task_status.started()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            ended.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            tasks = ShieldedTasks(group)
            with anyio.CancelScope() as scope:
                await tasks.start(work, scope)
            assert scope.cancelled_caught
            assert ended.is_set()
            assert not group.cancel_scope.cancel_called
            await tasks.stop()


async def test_a_failure_cancels_a_start_that_waits() -> None:
    """A part that failed ends the agent, although another part is still starting."""

    async def failing(*, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await anyio.wait_all_tasks_blocked()
        raise LookupError

    async def waiting(*, task_status: TaskStatus[None]) -> None:
        await anyio.sleep_forever()

    async def run() -> None:
        async with anyio.create_task_group() as group:
            tasks = ShieldedTasks(group)
            try:
                await tasks.start(failing)
                await tasks.start(waiting)
            finally:
                with anyio.CancelScope(shield=True):
                    await tasks.stop()

    with anyio.fail_after(10), pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(LookupError)


async def test_the_error_of_a_start_that_was_cancelled_is_not_lost() -> None:
    async def work(scope: anyio.CancelScope, *, task_status: TaskStatus[None]) -> None:
        scope.cancel()
        try:
            await anyio.sleep_forever()
        finally:
            raise LookupError

    async def run() -> None:
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as scope:
                await ShieldedTasks(group).start(work, scope)

    with pytest.raises(ExceptionGroup) as raised:
        await run()
    assert raised.group_contains(LookupError)


async def test_a_task_that_ends_without_having_started_fails_its_start() -> None:
    async def work(*, task_status: TaskStatus[None]) -> None:
        pass

    async with anyio.create_task_group() as group:
        with pytest.raises(RuntimeError, match="without started"):
            await ShieldedTasks(group).start(work)


def test_each_start_is_told() -> None:
    told: list[str] = []
    status = OnStarted(lambda: told.append("started"))
    status.started()
    status.started(None)
    assert told == ["started", "started"]


async def test_work_in_a_task_of_its_own_gives_its_result_or_its_error_as_it_is() -> None:
    async def seven() -> int:
        return 7

    async def fails() -> None:
        raise KeyError("as it is")

    assert await in_own_task(seven) == 7
    with pytest.raises(KeyError, match="as it is"):
        await in_own_task(fails)


async def test_work_in_a_task_of_its_own_is_cancelled_with_its_caller() -> None:
    ended = anyio.Event()

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    async with anyio.create_task_group() as tg:
        tg.start_soon(in_own_task, work)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()
    assert ended.is_set()


async def test_what_is_left_open_is_told_when_its_task_ends_and_not_otherwise() -> None:
    told: list[str] = []
    left = ExitStack()

    async def leave(name: str) -> None:
        left.enter_context(at_the_end_of_the_task(lambda: told.append(name)))

    async def close(name: str) -> None:
        with at_the_end_of_the_task(lambda: told.append(name)):
            await anyio.lowlevel.checkpoint()

    await in_own_task(partial(close, "closed"))
    await in_own_task(partial(leave, "left open"))
    with anyio.fail_after(20):
        while not told:
            await anyio.lowlevel.checkpoint()
    left.close()
    assert told == ["left open"]

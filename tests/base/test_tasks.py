"""Tasks of a service: started only while its `run` runs, ended with it."""

import anyio
import pytest

from agent_core.base.tasks import OnStarted, OwnedTasks


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
        with anyio.fail_after(5):
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


def test_each_start_is_told() -> None:
    told: list[str] = []
    status = OnStarted(lambda: told.append("started"))
    status.started()
    status.started(None)
    assert told == ["started", "started"]

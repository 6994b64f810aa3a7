"""Threads by kind of work, and readings that are shared."""

import threading
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
import pytest

from agent_core.base.listing import SharedReading
from agent_core.base.workers import WorkerPool


@pytest.fixture
async def hanging() -> AsyncIterator[threading.Event]:
    """What hangs waits for this, and does not outlive the test."""
    event = threading.Event()
    yield event
    event.set()


async def eventually(pool: WorkerPool, running: int) -> None:
    with anyio.fail_after(30):
        while pool.running != running:
            await anyio.sleep(0.002)


async def test_a_full_pool_leaves_other_pools_and_the_shared_threads_alone(hanging: threading.Event) -> None:
    full, other = WorkerPool(3), WorkerPool(1)

    def hang() -> None:
        hanging.wait()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            for _ in range(60):
                tg.start_soon(full.run, hang)
            await eventually(full, 3)
            assert await other.run(lambda: "other") == "other"
            assert await anyio.to_thread.run_sync(lambda: "shared") == "shared"
            assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            hanging.set()


async def test_a_caller_leaves_at_once_and_its_thread_keeps_the_place(hanging: threading.Event) -> None:
    pool = WorkerPool(2)
    begun: list[int] = []

    def hang(number: int) -> None:
        begun.append(number)
        hanging.wait()

    for number in range(20):
        with anyio.move_on_after(0.02):
            await pool.run_abandonable(hang, number)
    assert pool.running == 2
    assert len(begun) == 2, "the others found no free thread and left"
    hanging.set()
    await eventually(pool, 0)
    assert await pool.run_abandonable(lambda: "again") == "again"
    assert begun == [0, 1]


async def test_no_place_is_lost_whenever_a_caller_leaves() -> None:
    pool = WorkerPool(2)
    for turns in range(200):
        async with anyio.create_task_group() as tg:
            tg.start_soon(pool.run_abandonable, lambda: None)
            tg.start_soon(pool.run_abandonable, lambda: None)
            tg.start_soon(pool.run_abandonable, lambda: None)
            for _ in range(turns % 10):
                await anyio.lowlevel.checkpoint()
            tg.cancel_scope.cancel()
    await eventually(pool, 0)
    assert await pool.run_abandonable(lambda: "there") == "there"


async def test_what_a_call_raises_is_raised_and_frees_the_place() -> None:
    pool = WorkerPool(1)
    for run in (pool.run, pool.run_abandonable):
        with pytest.raises(ZeroDivisionError):
            await run(lambda: 1 / 0)
    await eventually(pool, 0)


class Disk:
    """Counts readings; each waits until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.content = "old"
        self.go = anyio.Event()

    async def read(self) -> str:
        self.begun += 1
        seen = self.content
        await self.go.wait()
        return seen


async def test_who_asks_at_once_shares_a_reading_that_began_after_the_question() -> None:
    disk, shared = Disk(), SharedReading[str]()
    results: list[str] = []

    async def ask() -> None:
        results.append(await shared.get("key", disk.read))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            tg.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            disk.content = "new"
            for _ in range(50):
                tg.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            disk.go.set()
    assert results == ["old"] + ["new"] * 50
    assert disk.begun == 2
    disk.content = "newest"
    await ask()
    assert results[-1] == "newest"


async def test_different_keys_do_not_wait_for_each_other() -> None:
    disk, shared = Disk(), SharedReading[str]()

    async def at_once() -> str:
        return "here"

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg:
            tg.start_soon(shared.get, "slow", disk.read)
            await anyio.wait_all_tasks_blocked()
            assert await shared.get("quick", at_once) == "here"
            disk.go.set()


async def test_a_cancelled_or_failed_reader_does_not_take_the_others_with_it() -> None:
    disk, shared = Disk(), SharedReading[str]()
    results: list[str] = []

    async def fail() -> str:
        await disk.go.wait()
        raise ConnectionError

    async def ask() -> None:
        results.append(await shared.get("key", disk.read))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tg, anyio.create_task_group() as first:
            first.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            tg.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            first.cancel_scope.cancel()
            disk.go.set()
        disk.go = anyio.Event()
        async with anyio.create_task_group() as tg:

            async def failing() -> None:
                with pytest.raises(ConnectionError):
                    await shared.get("key", fail)

            tg.start_soon(failing)
            await anyio.wait_all_tasks_blocked()
            tg.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            disk.go.set()
    assert results == ["old", "old"]

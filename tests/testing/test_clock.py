from datetime import timedelta

import anyio

from agent_core.testing import SimulatedClock


async def test_sleepers_wake_in_order_each_at_its_time() -> None:
    clock = SimulatedClock()
    begin_s, begin = clock.monotonic_s(), clock.now()
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, *durations_s: float) -> None:
        for duration_s in durations_s:
            await clock.sleep(duration_s)
            woken.append((name, clock.monotonic_s() - begin_s))

    async with anyio.create_task_group() as tg:
        tg.start_soon(sleep, "twice", 2.0, 2.0)
        tg.start_soon(sleep, "once", 3.0)
        await clock.advance(1.0)
        assert woken == []
        await clock.advance(4.0)
    assert woken == [("twice", 2.0), ("once", 3.0), ("twice", 4.0)]
    assert clock.now() - begin == timedelta(seconds=5)
    assert clock.sleeps == [2.0, 3.0, 2.0]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = SimulatedClock()
    async with anyio.create_task_group() as tg:
        tg.start_soon(clock.sleep, 1.0)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()
    await clock.advance(2.0)
    assert clock.monotonic_s() == 1002.0


async def test_no_sleep_takes_no_time() -> None:
    clock = SimulatedClock()
    with anyio.fail_after(20):
        await clock.sleep(0)
        await clock.sleep(-1)


async def test_setting_the_wall_clock_leaves_the_monotonic_one_alone() -> None:
    clock = SimulatedClock()
    before, before_s = clock.now(), clock.monotonic_s()
    clock.step_wall_clock(-3600)
    assert clock.now() - before == timedelta(hours=-1)
    assert clock.monotonic_s() == before_s


async def test_a_jump_wakes_due_sleepers_in_order_after_the_end_of_it() -> None:
    clock = SimulatedClock()
    woken: list[tuple[float, float]] = []

    async def sleep(duration_s: float) -> None:
        await clock.sleep(duration_s)
        woken.append((duration_s, clock.monotonic_s()))

    async with anyio.create_task_group() as tg:
        for duration_s in (3.0, 1.0, 2.0):
            tg.start_soon(sleep, duration_s)
        await anyio.wait_all_tasks_blocked()
        clock.jump(2.0)
        assert woken == []
        await anyio.wait_all_tasks_blocked()
        assert woken == [(1.0, 1002.0), (2.0, 1002.0)]
        clock.jump(1.0)
    assert woken[2:] == [(3.0, 1003.0)]

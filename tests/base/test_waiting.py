"""Pauses grow, stop growing, and begin anew; a race ends with its first wait."""

from functools import partial

import anyio
import anyio.lowlevel
import pytest

from agent_core.base.waiting import GrowingPauses, first_of, sleep_unless
from agent_core.testing import SimulatedClock


def test_each_is_twice_the_one_before_up_to_the_longest() -> None:
    pauses = GrowingPauses(1.0, 5.0)
    assert [pauses.next_s() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_a_success_begins_anew() -> None:
    pauses = GrowingPauses(0.5, 8.0)
    assert [pauses.next_s(), pauses.next_s()] == [0.5, 1.0]
    pauses.reset()
    assert pauses.next_s() == 0.5


async def test_the_first_wait_that_returns_cancels_the_others() -> None:
    cancelled: list[str] = []

    async def endless(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(name)

    await first_of(partial(endless, "a"), anyio.lowlevel.checkpoint, partial(endless, "b"))
    assert sorted(cancelled) == ["a", "b"]


async def test_a_failure_of_one_wait_ends_the_race() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ExceptionGroup) as caught:
        await first_of(anyio.sleep_forever, fail)
    assert caught.group_contains(ValueError)


async def test_a_sleep_ends_at_its_time_or_with_the_event() -> None:
    clock, event = SimulatedClock(), anyio.Event()
    before_s = clock.monotonic_s()
    event.set()
    await sleep_unless(clock, 5, event)
    assert clock.monotonic_s() == before_s
    async with anyio.create_task_group() as tg:
        tg.start_soon(sleep_unless, clock, 5, anyio.Event())
        await clock.advance(5)

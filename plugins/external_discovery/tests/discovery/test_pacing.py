"""Pace of packets, on a simulated clock."""

import anyio
import pytest

from agent_core.testing import SimulatedClock
from external_discovery.discovery.pacing import Pacer

pytestmark = pytest.mark.anyio


async def test_many_tasks_together_keep_the_pace() -> None:
    clock = SimulatedClock()
    pacer = Pacer(10, clock)
    sent_s: list[float] = []
    began_s = clock.monotonic_s()

    async def send() -> None:
        for _ in range(5):
            await pacer.wait()
            sent_s.append(clock.monotonic_s() - began_s)

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(send)
        for _ in range(30):
            await anyio.wait_all_tasks_blocked()
            await clock.advance(0.1)
    assert len(sent_s) == 20
    assert 1.5 < max(sent_s) < 2


async def test_a_pause_earns_no_burst() -> None:
    clock = SimulatedClock()
    pacer = Pacer(100, clock)
    await clock.advance(60)
    began_s = clock.monotonic_s()
    immediate = 0
    with anyio.move_on_after(0.2):
        while True:
            await pacer.wait()
            immediate += clock.monotonic_s() == began_s
    assert immediate <= 27

"""Many devices are asked beside each other, within a bound, and report in the order of their numbers."""

import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent_core.testing import SimulatedClock
from v4l2_tier.device.capabilities import Capabilities
from v4l2_tier.source.inventory import DeviceNode
from v4l2_tier.source.start_order import ProbePlaces, StartOrder

Make = Callable[..., DeviceNode]
#: The fixture `watch` of conftest.py.
Watch = Callable[..., AbstractAsyncContextManager[Any]]
HERE, BROKEN = "connected", "failed"
AT_ONCE = 8


def nodes(node: Make, count: int) -> list[DeviceNode]:
    return [node(number, serial=f"CAM-{number:03}", port=number + 1) for number in range(count)]


async def until_asked(bench: Any, count: int) -> None:
    """Wait until this many slow devices are asked, each by a thread of its own."""
    with anyio.fail_after(20):
        while len(bench.devices.asked) < count:
            await anyio.sleep(0.001)


async def test_forty_nodes_are_asked_eight_at_once_and_reported_in_order(
    watch: Watch, node: Make, capabilities: Capabilities
) -> None:
    gathered, lock = threading.Barrier(AT_ONCE), threading.Lock()
    now, most = 0, 0

    def prepare(devices: Any) -> None:
        def ask(_: Path) -> Capabilities:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            gathered.wait(20)  # each needs seven others
            with lock:
                now -= 1
            return capabilities

        devices.slow = ask

    async with watch(*nodes(node, 40), prepare=prepare) as bench:
        assert bench.report.history == [(HERE, f"video{number}") for number in range(40)]
    assert most == AT_ONCE


@pytest.mark.parametrize("silent", [1, AT_ONCE, 2 * AT_ONCE])
async def test_the_start_does_not_depend_on_the_slowest(
    watch: Watch, node: Make, capabilities: Capabilities, silent: int
) -> None:
    """Also if the first ones, which are all that are asked at once, never answer."""
    ended = threading.Event()

    def prepare(devices: Any) -> None:
        def ask(path: Path) -> Capabilities:
            if int(path.name.removeprefix("video")) < silent:
                ended.wait(20)
            return capabilities

        devices.slow = ask

    try:
        async with watch(*nodes(node, silent + 1), prepare=prepare, passes_s=3.0) as bench:
            await bench.report.until((HERE, f"video{silent}"))
            ended.set()
            await bench.report.wait_count(silent + 1)
            assert bench.report.history.count((BROKEN, "video0")) == 0
    finally:
        ended.set()


@pytest.mark.parametrize("answering_s", [20.0, 40.0])
async def test_only_one_that_answers_nothing_makes_place_for_others_soon(
    watch: Watch, node: Make, capabilities: Capabilities, answering_s: float
) -> None:
    """One that is still answering keeps its place for 30 s, and is not called silent."""
    ended = threading.Event()
    *first, last = nodes(node, AT_ONCE + 1)

    def ask(_: Path) -> Capabilities:
        ended.wait(20)
        return capabilities

    try:
        async with watch() as bench:
            bench.devices.slow = ask
            for each in (*first, last):
                bench.devices.plug(each)
            await bench.clock.advance(0.4)
            await until_asked(bench, AT_ONCE)
            for _ in range(int(answering_s * 2)):
                await bench.clock.advance(0.5)
                for answers in bench.devices.asked.values():
                    answers.count += 1
            assert bench.report.history == []
            if answering_s < 30:
                assert last.name not in bench.devices.asked
                await bench.clock.advance(2)
            await until_asked(bench, AT_ONCE + 1)
            await bench.clock.advance(8)
            assert set(bench.report.history) >= {(BROKEN, each.name) for each in first}
            ended.set()
            await bench.report.wait_count(len(bench.report.history) + 1)
    finally:
        ended.set()


async def test_a_camera_waits_for_those_before_it_and_no_longer_than_agreed() -> None:
    clock = SimulatedClock()
    order = StartOrder(clock)
    turns = [order.next() for _ in range(3)]
    reported: list[int] = []

    async def report(number: int) -> None:
        await turns[number].wait()
        reported.append(number)
        turns[number].done()

    async with anyio.create_task_group() as tg:
        tg.start_soon(report, 2)
        tg.start_soon(report, 1)
        await clock.advance(1.9)
        assert reported == []
        tg.start_soon(report, 0)
        await clock.advance(0)
        assert reported == [0, 1, 2]
        await order.wait()
        await order.wait_all()


async def test_after_the_agreed_time_nothing_waits_for_one_that_is_late() -> None:
    clock = SimulatedClock()
    order = StartOrder(clock)
    late, second = order.next(), order.next()
    async with anyio.create_task_group() as tg:
        tg.start_soon(second.wait)
        tg.start_soon(order.wait)
        await clock.advance(2)
    second.done()
    with anyio.move_on_after(0.01) as waiting:
        await order.wait_all()
    assert waiting.cancelled_caught
    late.done()
    late.done()
    await order.wait_all()


async def test_without_cameras_nothing_is_waited_for() -> None:
    order = StartOrder(SimulatedClock())
    await order.wait()
    await order.wait_all()


async def test_a_place_is_given_back_once() -> None:
    places = ProbePlaces()
    held = [await places.take() for _ in range(AT_ONCE)]
    for _ in range(3):
        held[0].leave()
    await places.take()
    with anyio.move_on_after(0.01) as waiting:
        await places.take()
    assert waiting.cancelled_caught

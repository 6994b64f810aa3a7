"""Conversions that are shared, bounded, and abandoned when no caller waits for them."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from agent_core.base.clock import SystemClock
from agent_core.base.errors import AgentError, CaptureFailed, RateLimited
from agent_core.base.models import CapturedAtSource, Picture, PictureFormat
from agent_core.snapshots import images
from agent_core.snapshots.converter import MAX_WAITING, MAX_WAITING_EACH, PictureConverter
from agent_core.snapshots.images import Wanted

CLOCK = SystemClock()
PNG = Wanted(PictureFormat.PNG)


def picture(width: int = 10, height: int = 10) -> Picture:
    return Picture(
        bytearray(b"jpeg").hex().encode(), PictureFormat.JPG, width, height, 1.0, CapturedAtSource.DEVICE
    )


@dataclass
class Gate:
    """Converts nothing, and holds each thread until it is opened or the conversion is abandoned."""

    opened: threading.Event = field(default_factory=threading.Event)
    heeds: bool = True
    started: list[Wanted] = field(default_factory=list)
    running: int = 0
    most: int = 0
    abandoned: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def render(
        self, picture: Picture, wanted: Wanted, max_pixels: int, is_abandoned: Callable[[], bool]
    ) -> Picture:
        with self._lock:
            self.started.append(wanted)
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            while not self.opened.wait(0.005):
                if self.heeds and is_abandoned():
                    self.abandoned += 1
                    raise images.ConversionAbandoned
        finally:
            with self._lock:
                self.running -= 1
        return replace(picture, data=b"png", format=wanted.form)

    async def until(self, is_so: Callable[["Gate"], bool]) -> None:
        with anyio.fail_after(30):
            while not is_so(self):
                await anyio.sleep(0.005)


@dataclass
class Caller:
    """Asks for one conversion and keeps what came of it."""

    converter: PictureConverter
    picture: Picture
    wanted: Wanted = PNG
    limit_s: float = 60.0
    user: str = ""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    result: Picture | AgentError | None = None

    async def call(self) -> None:
        with self.scope:
            try:
                self.result = await self.converter.convert(
                    self.picture, self.wanted, deadline_s=CLOCK.monotonic_s() + self.limit_s, user=self.user
                )
            except AgentError as error:
                self.result = error


@asynccontextmanager
async def running(
    gate: Gate, *, threads: int = 1, max_pixels: int = 1000
) -> AsyncIterator[tuple[PictureConverter, anyio.abc.TaskGroup]]:
    converter = PictureConverter(max_pixels=max_pixels, clock=CLOCK, threads=threads, render=gate.render)
    with anyio.fail_after(45):
        async with anyio.create_task_group() as tg:
            await tg.start(converter.run)
            try:
                yield converter, tg
            finally:
                gate.opened.set()
                tg.cancel_scope.cancel()


def different(number: int) -> Wanted:
    return Wanted(PictureFormat.PNG, width=number + 1)


async def test_what_fits_already_is_not_converted() -> None:
    gate = Gate()
    async with running(gate) as (converter, _):
        same = picture()
        assert await converter.convert(same, Wanted(PictureFormat.JPG, 8192), deadline_s=0) is same
    assert gate.started == []


async def test_equal_requests_at_once_share_one_conversion() -> None:
    gate, taken = Gate(), picture()
    async with running(gate) as (converter, _):
        callers = [Caller(converter, replace(taken, settled=False)) for _ in range(64)]
        async with anyio.create_task_group() as calls:
            for each in callers:
                calls.start_soon(each.call)
            await gate.until(lambda it: it.running == 1)
            gate.opened.set()
    assert gate.started == [PNG]
    assert all(isinstance(each.result, Picture) and each.result.data == b"png" for each in callers)


async def test_a_cancelled_caller_leaves_the_conversion_to_the_others() -> None:
    gate, taken = Gate(), picture()
    async with running(gate) as (converter, _):
        first, second = Caller(converter, taken), Caller(converter, taken)
        async with anyio.create_task_group() as calls:
            calls.start_soon(first.call)
            await gate.until(lambda it: it.running == 1)
            calls.start_soon(second.call)
            await anyio.wait_all_tasks_blocked()
            first.scope.cancel()
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    assert first.result is None
    assert isinstance(second.result, Picture)
    assert len(gate.started) == 1


async def test_a_conversion_that_nobody_waits_for_is_given_up_and_what_waited_never_starts() -> None:
    gate, taken = Gate(), picture()
    async with running(gate) as (converter, _):
        gone = [Caller(converter, taken, different(number)) for number in range(5)]
        async with anyio.create_task_group() as calls:
            for each in gone:
                calls.start_soon(each.call)
            await gate.until(lambda it: it.running == 1)
            await anyio.wait_all_tasks_blocked()
            calls.cancel_scope.cancel()
        await gate.until(lambda it: it.running == 0)
        gate.opened.set()
        late = Caller(converter, taken, different(7))
        await late.call()
    assert isinstance(late.result, Picture)
    assert gate.abandoned == 1
    assert gate.started == [different(0), different(7)]


async def test_the_deadline_holds_for_the_caller_while_the_thread_keeps_its_place() -> None:
    gate, taken = Gate(heeds=False), picture()
    async with running(gate) as (converter, _):
        late = Caller(converter, taken, limit_s=0.05)
        await late.call()
        assert isinstance(late.result, CaptureFailed)
        assert late.result.reason == "deadline_exceeded"
        behind = Caller(converter, taken, different(1), limit_s=0.05)
        await behind.call()
        assert isinstance(behind.result, CaptureFailed)
        assert behind.result.reason == "deadline_exceeded"
        assert gate.running == 1
    assert gate.started == [PNG]


async def test_too_many_different_requests_are_told_to_come_back() -> None:
    gate, taken = Gate(), picture()
    async with running(gate) as (converter, _):
        callers = [Caller(converter, taken, different(number)) for number in range(MAX_WAITING_EACH + 5)]
        async with anyio.create_task_group() as calls:
            calls.start_soon(callers[0].call)
            await gate.until(lambda it: it.running == 1)
            for each in callers[1:]:
                calls.start_soon(each.call)
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    refused = [each.result for each in callers if isinstance(each.result, RateLimited)]
    assert [each.reason for each in refused] == ["busy"] * 4
    assert all(each.retry_after_ms > 0 for each in refused)
    assert sum(isinstance(each.result, Picture) for each in callers) == MAX_WAITING_EACH + 1


async def test_users_take_turns_and_none_can_fill_the_queue_alone() -> None:
    gate, taken = Gate(), picture()
    async with running(gate) as (converter, _):
        first = Caller(converter, taken, different(0), user="greedy")
        greedy = [
            Caller(converter, taken, different(number), user="greedy") for number in range(1, MAX_WAITING)
        ]
        modest = [Caller(converter, taken, different(1000 + number), user="modest") for number in range(3)]
        async with anyio.create_task_group() as calls:
            calls.start_soon(first.call)
            await gate.until(lambda it: it.running == 1)
            for each in (*greedy, *modest):
                calls.start_soon(each.call)
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    assert all(isinstance(each.result, Picture) for each in modest)
    assert {gate.started.index(each.wanted) for each in modest} <= set(range(1, 7))
    assert sum(isinstance(each.result, Picture) for each in greedy) == MAX_WAITING_EACH


async def test_many_users_together_are_limited_too() -> None:
    gate, taken = Gate(), picture()
    async with running(gate) as (converter, _):
        callers = [
            Caller(converter, taken, different(number), user=str(number)) for number in range(MAX_WAITING + 5)
        ]
        async with anyio.create_task_group() as calls:
            calls.start_soon(callers[0].call)
            await gate.until(lambda it: it.running == 1)
            for each in callers[1:]:
                calls.start_soon(each.call)
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    assert sum(isinstance(each.result, RateLimited) for each in callers) == 4


@pytest.mark.parametrize(("max_pixels", "most"), [(1000, 3), (250, 2), (50, 1)])
async def test_the_pixels_under_way_are_bounded(max_pixels: int, most: int) -> None:
    gate = Gate()
    async with running(gate, threads=3, max_pixels=max_pixels) as (converter, _):
        callers = [Caller(converter, picture(), different(number)) for number in range(6)]
        async with anyio.create_task_group() as calls:
            for each in callers:
                calls.start_soon(each.call)
            await gate.until(lambda it: it.running == most)
            await anyio.wait_all_tasks_blocked()
            gate.opened.set()
    assert gate.most == most
    assert all(isinstance(each.result, Picture) for each in callers)


async def test_slow_conversions_leave_the_shared_threads_alone() -> None:
    gate = Gate()
    async with running(gate, threads=2) as (converter, _):
        callers = [Caller(converter, picture(), different(number)) for number in range(MAX_WAITING)]
        async with anyio.create_task_group() as calls:
            for each in callers:
                calls.start_soon(each.call)
            await gate.until(lambda it: it.running == 2)
            assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            assert await anyio.to_thread.run_sync(lambda: "served") == "served"
            gate.opened.set()


@pytest.mark.parametrize("error", [CaptureFailed("No.", reason="picture_damaged"), ZeroDivisionError()])
async def test_a_failed_conversion_is_its_callers_and_the_next_one_works(error: Exception) -> None:
    def fails(picture: Picture, wanted: Wanted, max_pixels: int, is_abandoned: Callable[[], bool]) -> Picture:
        if wanted.form is PictureFormat.PNG:
            raise error
        return picture

    converter = PictureConverter(max_pixels=1000, clock=CLOCK, threads=1, render=fails)
    async with anyio.create_task_group() as tg:
        await tg.start(converter.run)
        with anyio.fail_after(30):
            for wanted, kind in ((PNG, CaptureFailed), (Wanted(PictureFormat.JPG, quality=1), Picture)):
                caller = Caller(converter, picture(), wanted)
                await caller.call()
                assert isinstance(caller.result, kind)
        tg.cancel_scope.cancel()


async def test_ending_gives_up_what_runs() -> None:
    gate = Gate()
    converter = PictureConverter(max_pixels=1000, clock=CLOCK, threads=1, render=gate.render)
    caller = Caller(converter, picture())
    with anyio.fail_after(30):
        async with anyio.create_task_group() as calls:
            async with anyio.create_task_group() as service:
                await service.start(converter.run)
                calls.start_soon(caller.call)
                await gate.until(lambda it: it.running == 1)
                service.cancel_scope.cancel()
    assert gate.abandoned == 1
    assert isinstance(caller.result, CaptureFailed)
    assert caller.result.reason == "agent_ending"

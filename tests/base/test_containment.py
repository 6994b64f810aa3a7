"""Foreign code: whatever it raises is its own failure, and real cancellation still ends it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import pytest

from agent_core.base.containment import ContainedLoop, contained, describe
from agent_core.base.errors import PluginError


def grouped(error: BaseException) -> BaseException:
    return BaseExceptionGroup("of a task group", [error])


#: What no provider may raise, made anew for each test.
ENDING: list[Callable[[], BaseException]] = [
    lambda: SystemExit(0),
    KeyboardInterrupt,
    GeneratorExit,
    asyncio.CancelledError,
    lambda: grouped(SystemExit(3)),
    lambda: grouped(grouped(KeyboardInterrupt())),
]


@pytest.mark.parametrize("make", ENDING)
async def test_what_would_end_the_agent_is_a_failure_of_the_provider(
    make: Callable[[], BaseException],
) -> None:
    with pytest.raises(PluginError, match="The component lamp raised") as caught:
        with contained("The component lamp"):
            raise make()
    assert caught.value.reason == "provider_raised"


def test_it_is_so_without_an_event_loop_too() -> None:
    with pytest.raises(PluginError), contained("The hook agent_components"):
        raise SystemExit(1)


async def test_an_exception_passes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), contained("x"):
        raise ZeroDivisionError


Work = Callable[[], Coroutine[Any, Any, None]]


async def _by_a_scope(work: Work) -> None:
    async with anyio.create_task_group() as tg:
        tg.start_soon(work)
        await anyio.wait_all_tasks_blocked()
        tg.cancel_scope.cancel()


async def _by_a_deadline(work: Work) -> None:
    with anyio.move_on_after(0.01):
        await work()


@pytest.mark.parametrize("cancel", [_by_a_scope, _by_a_deadline])
async def test_real_cancellation_passes(
    cancel: Callable[[Work], Coroutine[Any, Any, None]],
) -> None:
    seen: list[str] = []

    async def work() -> None:
        try:
            with contained("x"):
                await anyio.sleep_forever()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    await cancel(work)
    assert seen == ["cancelled"]


def test_the_loop_goes_on_when_a_task_exits() -> None:
    async def leave() -> None:
        raise SystemExit(0)

    async def whole() -> str:
        asyncio.get_running_loop().call_soon(lambda: (_ for _ in ()).throw(SystemExit(0)))
        try:
            async with anyio.create_task_group() as tg:
                tg.start_soon(leave)
                await anyio.sleep_forever()
        except BaseExceptionGroup as group:
            return describe(group.exceptions[0])
        return ""

    assert anyio.run(whole, backend_options={"loop_factory": ContainedLoop}) == "SystemExit: 0"


def test_an_error_that_cannot_be_printed_still_has_a_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert describe(Mute()) == "Mute"

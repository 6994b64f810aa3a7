"""Who gets a place among the connections, and what a lack of descriptors does to them."""

import errno
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, cast

import anyio
import pytest
from anyio.abc import Listener, SocketStream, TaskGroup

from embedded_server.crowd import Crowd, Guest, accept_all


async def test_the_oldest_that_is_not_settled_gives_way() -> None:
    crowd = Crowd(2)
    with ExitStack() as held:
        first, second, third = (held.enter_context(crowd.place(is_own=False)) for _ in range(3))
        assert first is not None
        assert second is not None
        assert third is not None
        assert [each.scope.cancel_called for each in (first, second, third)] == [True, False, False]
        second.is_settled = third.is_settled = True
        assert held.enter_context(crowd.place(is_own=False)) is None
        assert held.enter_context(crowd.place(is_own=True)) is not None


async def test_a_place_is_free_again() -> None:
    crowd = Crowd(1)
    for _ in range(3):
        with crowd.place(is_own=False) as guest:
            assert guest is not None
            guest.is_settled = True


class Short:
    """A listener that has no descriptor left three times, then no client that waits, then waits for ever."""

    def __init__(self) -> None:
        self.waits = anyio.Event()
        self._errors = [OSError(errno.EMFILE, "Too many open files")] * 3 + [ConnectionAbortedError()]

    async def serve(self, handler: Callable[[Any], Any], task_group: TaskGroup) -> None:
        if self._errors:
            raise self._errors.pop(0)
        self.waits.set()
        await anyio.sleep_forever()


async def _serve(stream: SocketStream, guest: Guest) -> None:
    raise AssertionError("there is no one to serve")


async def test_a_lack_of_descriptors_is_said_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    listener = Short()
    with caplog.at_level(logging.ERROR):
        async with anyio.create_task_group() as tg:
            tg.start_soon(accept_all, cast("Listener[SocketStream]", listener), Crowd(1), _serve)
            with anyio.fail_after(20):
                await listener.waits.wait()
            tg.cancel_scope.cancel()
    assert len([each for each in caplog.records if "have to wait" in each.getMessage()]) == 1

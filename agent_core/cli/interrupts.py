"""Two steps of Ctrl-C: end what goes on, then leave."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

__all__ = ("in_two_steps",)

T = TypeVar("T")


async def in_two_steps(work: Callable[[anyio.CancelScope], Awaitable[T]]) -> T | None:
    """Do `work(first)`: the first SIGINT or SIGTERM cancels the scope `first`, the second all of it.

    Returns what `work` does, None after the second signal. An exception of `work` comes as it is, not in a group.
    """
    first = anyio.CancelScope()
    result: T | None = None
    failure: Exception | None = None
    async with anyio.create_task_group() as tasks:
        await tasks.start(_listen, first, tasks.cancel_scope)
        try:
            result = await work(first)
        except Exception as error:  # noqa: BLE001 - raised again below, outside the group that would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result


async def _listen(
    first: anyio.CancelScope,
    everything: anyio.CancelScope,
    *,
    task_status: TaskStatus[None] = TASK_STATUS_IGNORED,
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if first.cancel_called:
                everything.cancel()
            first.cancel()

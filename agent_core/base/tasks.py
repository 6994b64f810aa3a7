"""Groups of tasks with an owner, and reports of their start."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus

__all__ = ("OnStarted", "OwnedTasks", "ShieldedTasks")


class OwnedTasks:
    """Tasks that a service's methods start and its `run` owns.

    The service opens the group in `run`; its other methods start tasks in it. The group ends as anyio's do: an error
    or a cancellation in the context cancels the tasks, and an error in a task cancels the context.
    """

    def __init__(self) -> None:
        self._group: TaskGroup | None = None

    @property
    def is_open(self) -> bool:
        """True while the context of `open` is open."""
        return self._group is not None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TaskGroup]:
        """Own tasks while the context is open; wait for them when it closes."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield group
            finally:
                self._group = None

    def start_soon(self, work: Callable[..., Coroutine[Any, Any, object]], *args: object) -> None:
        """Start `work(*args)` as a task of the service.

        Raises:
            RuntimeError: the service does not run; its owner must start `run` first.
        """
        if self._group is None:
            raise RuntimeError(f"{getattr(work, '__qualname__', work)} cannot start: run() does not run")
        self._group.start_soon(work, *args)


class ShieldedTasks:
    """Tasks of a task group that outlive the group's cancellation until `stop` cancels them.

    With several such groups an owner ends tasks in order. It must call `stop` on every path out of the task group,
    inside a shielded scope; otherwise the task group never ends.
    """

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._tasks: list[tuple[anyio.CancelScope, anyio.Event]] = []

    async def start(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start `work(*args, task_status=...)` and wait for its `started()`. Raises what `work` raises before that."""
        await self._group.start(self._run, work, *args)

    async def _run(
        self, work: Callable[..., Awaitable[None]], *args: object, task_status: TaskStatus[None]
    ) -> None:
        scope, ended = anyio.CancelScope(shield=True), anyio.Event()
        self._tasks.append((scope, ended))
        try:
            with scope:
                await work(*args, task_status=task_status)
        finally:
            ended.set()

    async def stop(self) -> None:
        """Cancel all tasks at once and wait until each has ended."""
        for scope, _ in self._tasks:
            scope.cancel()
        for _, ended in self._tasks:
            await ended.wait()


class OnStarted:
    """Implementation of `task_status` that calls `callback` at each `started()`."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback

    def started(self, _value: None = None) -> None:
        """Call the callback."""
        self._callback()

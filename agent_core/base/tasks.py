"""Tasks of a service: the group that they run in, and the answer to the wait for their start."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import TaskGroup

__all__ = ("OnStarted", "OwnedTasks")


class OwnedTasks:
    """Tasks that a service's methods start and its `run` owns.

    The service opens the group in `run`; its other methods start tasks in it. Closing follows anyio's task group:
    an error or a cancellation in the context cancels the tasks, and an error in a task cancels the context.
    """

    def __init__(self) -> None:
        self._group: TaskGroup | None = None

    @property
    def is_open(self) -> bool:
        """True while `run` runs and has not begun to end."""
        return self._group is not None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[TaskGroup]:
        """Own the tasks while the context is open; wait for them at its end."""
        async with anyio.create_task_group() as group:
            self._group = group
            try:
                yield group
            finally:
                self._group = None

    def start_soon(self, work: Callable[..., Coroutine[Any, Any, object]], *args: object) -> None:
        """Start `work(*args)` as a task of the service.

        Raises:
            RuntimeError: the service does not run; its owner has to start `run` first.
        """
        if self._group is None:
            raise RuntimeError(f"{getattr(work, '__qualname__', work)} cannot start: run() does not run")
        self._group.start_soon(work, *args)


class OnStarted:
    """A `task_status` that calls `callback` at each `started()`."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback

    def started(self, _value: None = None) -> None:
        """Call the callback."""
        self._callback()

"""Groups of tasks with an owner, and reports of their start."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import anyio
from anyio.abc import TaskGroup

__all__ = ("OnStarted", "OwnedTasks", "ShieldedTasks", "at_the_end_of_the_task", "in_own_task")

T = TypeVar("T")


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
        self._tasks: list[_ShieldedTask] = []

    async def start(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start `work(*args, task_status=...)` and wait for its `started()`.

        A cancelled call ends the work and waits for its end. (anyio's `TaskGroup.start` would also wait, but cancels
        only what is outside the shield: the work would run on, and the call would never return.)

        Raises:
            RuntimeError: `work` returned without `started()`.
            BaseException: what `work` raised before `started()`.
        """
        task = _ShieldedTask()
        self._tasks.append(task)
        self._group.start_soon(task.run, work, args)
        try:
            await task.decided.wait()
        except BaseException:
            task.is_awaited = False
            task.scope.cancel()
            with anyio.CancelScope(shield=True):
                await task.ended.wait()
            raise
        if task.error is not None:
            raise task.error

    async def stop(self) -> None:
        """Cancel all tasks at once and wait until each has ended."""
        for task in self._tasks:
            task.scope.cancel()
        for task in self._tasks:
            await task.ended.wait()


class _ShieldedTask:
    """Task of `ShieldedTasks`. Its errors go to its starter before `started()`, and to its task group afterwards."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope(shield=True)
        #: Set when the work has started, or has ended before that.
        self.decided = anyio.Event()
        self.ended = anyio.Event()
        self.is_awaited = True
        self.error: BaseException | None = None

    async def run(self, work: Callable[..., Awaitable[None]], args: tuple[object, ...]) -> None:
        """Run `work(*args, task_status=...)` until its end or until the scope is cancelled."""
        try:
            with self.scope:
                await work(*args, task_status=OnStarted(self.decided.set))
            if not self.decided.is_set() and not self.scope.cancelled_caught:
                raise RuntimeError(f"{getattr(work, '__qualname__', work)} ended without started()")
        except BaseException as error:
            if self.decided.is_set() or not self.is_awaited:
                raise
            self.error = error
        finally:
            self.decided.set()
            self.ended.set()


class OnStarted:
    """Implementation of `task_status` that calls `callback` at each `started()`."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback

    def started(self, _value: object = None) -> None:
        """Call the callback."""
        self._callback()


async def in_own_task(work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()` in a task of its own, and return its result or raise its exception as it is.

    What is bound to a task (`at_the_end_of_the_task`) ends with the work, although the caller's task goes on.
    """
    results: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        try:
            results.append(await work())
        except Exception as error:  # noqa: BLE001 - raised below, outside the task group, unchanged
            errors.append(error)

    async with anyio.create_task_group() as tg:
        tg.start_soon(run)
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def at_the_end_of_the_task(left: Callable[[], object]) -> Iterator[None]:
    """Call `left` if the task that enters the context ends without leaving it, as only faulty code does."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - the agent's code runs in tasks

    def ended(_task: object) -> None:
        left()

    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.remove_done_callback(ended)

"""An order for the end: tasks that are cancelled when they are told, and not together with everything else."""

from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup, TaskStatus

__all__ = ("Stage",)


class Stage:
    """Some tasks of `tg` that only `end` cancels; whoever owns `tg` must call it, whatever happens."""

    def __init__(self, tg: TaskGroup) -> None:
        self._tg = tg
        self._running: list[tuple[anyio.CancelScope, anyio.Event]] = []

    async def start(self, work: Callable[..., Awaitable[None]], *args: object) -> None:
        await self._tg.start(self._keep, work, *args)

    async def _keep(
        self, work: Callable[..., Awaitable[None]], *args: object, task_status: TaskStatus[None]
    ) -> None:
        scope, ended = anyio.CancelScope(shield=True), anyio.Event()
        self._running.append((scope, ended))
        try:
            with scope:
                await work(*args, task_status=task_status)
        finally:
            ended.set()

    async def end(self) -> None:
        """Cancel all and wait until they have ended."""
        for scope, _ in self._running:
            scope.cancel()
        for _, ended in self._running:
            await ended.wait()

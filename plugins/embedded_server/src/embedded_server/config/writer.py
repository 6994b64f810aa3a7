"""Serialised changes of the configuration, answered before they are applied."""

from collections.abc import Callable

import anyio

from embedded_server.config.configuration import Configuration
from embedded_server.context import ServerContext

__all__ = ("Writer",)


class Writer:
    """Writer of the configuration.

    A change is validated and answered at once, and applied `delay_s` later; the next change waits for that. As with
    MediaMTX 1.20.1, a client may therefore still read the old state right after the answer.
    """

    def __init__(
        self,
        configuration: Configuration,
        apply: Callable[[Configuration, Configuration], None],
        context: ServerContext,
        delay_s: float,
    ) -> None:
        self.current = configuration
        self._apply = apply
        self._context = context
        self._delay_s = delay_s
        self._turn = anyio.Semaphore(1)

    async def write(self, change: Callable[[Configuration], Configuration]) -> None:
        """Validate a change and schedule it.

        Raises:
            ConfigRefused: raised by `change`; nothing changes.
            NotConfigured: raised by `change`; nothing changes.
        """
        await self._turn.acquire()
        try:
            changed = change(self.current)
        except BaseException:
            self._turn.release()
            raise
        before = self.current
        if self._context.legacy:
            self.current = changed
        self._context.tasks.start_soon(self._later, before, changed)

    def set_now(self, configuration: Configuration) -> None:
        """Replace and apply the whole configuration at once, as a reload of its file does."""
        before, self.current = self.current, configuration
        self._apply(before, configuration)

    async def _later(self, before: Configuration, changed: Configuration) -> None:
        try:
            await self._context.clock.sleep(self._delay_s + self._context.faults.apply_delay_s)
            self.current = changed
            self._apply(before, changed)
        finally:
            self._turn.release()

"""Changes of the configuration: one after the other, answered first and applied then."""

from collections.abc import Callable

import anyio

from embedded_server.config.configuration import Configuration
from embedded_server.context import ServerContext

__all__ = ("Writer",)


class Writer:
    """A change is validated and answered; `delay_s` later it is applied. The next change waits for that.

    So, as with MediaMTX 1.20.1, a look right after an answer may still find the old state.
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
        """Accept a change.

        Raises:
            ConfigRefused: as `change` raises it; nothing has changed.
            NotConfigured: the same.
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
        """Replace the whole configuration at once, as a reload of its file does."""
        before, self.current = self.current, configuration
        self._apply(before, configuration)

    async def _later(self, before: Configuration, changed: Configuration) -> None:
        try:
            await self._context.clock.sleep(self._delay_s + self._context.faults.apply_delay_s)
            self.current = changed
            self._apply(before, changed)
        finally:
            self._turn.release()

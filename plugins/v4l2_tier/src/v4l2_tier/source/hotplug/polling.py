"""The last resort: looking at sysfs again and again."""

import os
from contextlib import suppress
from pathlib import Path

from agent_core.plugin import Clock
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, Noticed
from v4l2_tier.source.inventory import SUBSYSTEM

__all__ = ("PollWatcher",)

_POLL_S = 2.0


class PollWatcher(HotplugWatcher):
    """Looks at the names every two seconds; only here does anything run while nothing happens."""

    def __init__(self, clock: Clock, folder: Path = Path("/sys/class") / SUBSYSTEM) -> None:
        self._clock = clock
        self._folder = folder
        self._seen = self._names()

    async def wait(self) -> Noticed:
        while True:
            await self._clock.sleep(_POLL_S)
            before, self._seen = self._seen, self._names()
            if before != self._seen:
                return Noticed(touched=frozenset(name for name, _ in before ^ self._seen))

    def _names(self) -> frozenset[tuple[str, int]]:
        """Names with the numbers of their folders, which are new for each device."""
        with suppress(OSError):
            return frozenset((name, (self._folder / name).stat().st_ino) for name in os.listdir(self._folder))  # noqa: PTH208 - names
        return frozenset()

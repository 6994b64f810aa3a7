"""Watcher that polls sysfs: the fallback where no events are available.

A module of its own, as each watcher has one: the source knows watchers only by their interface.
"""

import os
from contextlib import suppress
from pathlib import Path

from agent_core.plugin import Clock
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges
from v4l2_tier.source.inventory import SUBSYSTEM

__all__ = ("PollWatcher",)

_POLL_S = 2.0


class PollWatcher(HotplugWatcher):
    """Watcher that reads the node names every two seconds; the only watcher that costs CPU time while idle."""

    def __init__(self, clock: Clock, folder: Path = Path("/sys/class") / SUBSYSTEM) -> None:
        self._clock = clock
        self._folder = folder
        self._seen = self._names()

    async def wait(self) -> NodeChanges:
        while True:
            await self._clock.sleep(_POLL_S)
            before, self._seen = self._seen, self._names()
            if before != self._seen:
                return NodeChanges(touched=frozenset(name for name, _ in before ^ self._seen))

    def _names(self) -> frozenset[tuple[str, int]]:
        """Return the node names, each with its folder's inode number, which is new for each device."""
        with suppress(OSError):
            return frozenset((name, (self._folder / name).stat().st_ino) for name in os.listdir(self._folder))  # noqa: PTH208 - names
        return frozenset()

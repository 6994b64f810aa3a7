"""Watcher that polls sysfs and the folder of nodes: the fallback where no events are available.

A module of its own, as each watcher has one: the source knows watchers only by their interface.
"""

import os
from contextlib import suppress
from pathlib import Path

from agent_core.plugin import Clock
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges
from v4l2_tier.source.inventory import SUBSYSTEM
from v4l2_tier.source.node_names import folders_of

__all__ = ("PollWatcher", "kernel_devices")

_POLL_S = 1.0
_CLASS = Path("/sys/class") / SUBSYSTEM


def kernel_devices(folder: Path = _CLASS) -> frozenset[tuple[str, int]]:
    """Return the kernel's names of the devices, each with its folder's inode number, which is new for each device."""
    with suppress(OSError):
        return frozenset((name, (folder / name).stat().st_ino) for name in os.listdir(folder))  # noqa: PTH208 - names
    return frozenset()


class PollWatcher(HotplugWatcher):
    """Watcher that reads the devices' names every second; the only watcher that costs CPU time while idle.

    Args:
        clock: times the looks.
        folder: the kernel's devices.
        nodes: folder of device nodes, where containers get nodes that are no new device of the kernel.
    """

    def __init__(self, clock: Clock, folder: Path = _CLASS, nodes: Path = Path("/dev")) -> None:
        self._clock = clock
        self._folder = folder
        self._nodes = nodes
        self._seen, self._changed = self._look()

    async def wait(self) -> NodeChanges:
        while True:
            await self._clock.sleep(_POLL_S)
            before = self._seen, self._changed
            self._seen, self._changed = self._look()
            if before != (self._seen, self._changed):
                return NodeChanges(touched=frozenset(name for name, _ in before[0] ^ self._seen))

    def _look(self) -> tuple[frozenset[tuple[str, int]], frozenset[tuple[Path, int]]]:
        return kernel_devices(self._folder), frozenset(_times(self._nodes))


def _times(nodes: Path) -> list[tuple[Path, int]]:
    """Return the times at which an entry of each folder was last made or removed."""
    times: list[tuple[Path, int]] = []
    for folder in folders_of(nodes):
        with suppress(OSError):
            times.append((folder, folder.stat().st_mtime_ns))
    return times

"""Watchers that work beside each other."""

import logging
from collections.abc import Callable
from functools import partial, reduce
from operator import or_

import anyio

from agent_core.plugin import Clock, first_of
from v4l2_tier.source.hotplug.hearing import Hearing, Patience
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges

__all__ = ("CheckedWatcher", "SeveralWatchers")

_log = logging.getLogger("camera_agent.v4l2_tier")


class SeveralWatchers(HotplugWatcher):
    """Watcher that tells what any of `watchers` tells; it owns them."""

    def __init__(self, *watchers: HotplugWatcher) -> None:
        self._watchers = watchers
        #: What was told and is not returned yet: `wait` may be cancelled in between.
        self._told: list[NodeChanges] = []

    async def wait(self) -> NodeChanges:
        async def one(watcher: HotplugWatcher) -> None:
            self._told.append(await watcher.wait())

        while not self._told:
            await first_of(*(partial(one, watcher) for watcher in self._watchers))
        told, self._told = self._told, []
        return _together(told)

    def close(self) -> None:
        for watcher in self._watchers:
            watcher.close()


class CheckedWatcher(HotplugWatcher):
    """Watcher of events that looks at the nodes, too, and takes over what the events do not tell; it owns both.

    Args:
        name: kind of the events, for the log.
        events: watcher of events, which may stay silent in a container.
        lookout: watcher of what the events are about.
        devices: lists the kernel's devices, each with a number that is new when it is made again.
        patience: times to wait for events.
        clock: the monotonic clock.
    """

    def __init__(
        self,
        name: str,
        events: HotplugWatcher,
        lookout: HotplugWatcher,
        devices: Callable[[], frozenset[tuple[str, int]]],
        patience: Patience,
        clock: Clock,
    ) -> None:
        self._name = name
        self._events = events
        self._lookout = lookout
        self._list = devices
        self._devices = devices()
        self._clock = clock
        self._hearing = Hearing(patience)
        self._was_silent = False
        #: As in `SeveralWatchers`.
        self._told: list[NodeChanges] = []

    async def wait(self) -> NodeChanges:
        while not self._told:
            await first_of(self._listen, self._look, self._until_due)
            untold = self._hearing.decide(self._clock.monotonic_s())
            self._say()
            if untold is not None:
                self._told.append(untold)
        told, self._told = self._told, []
        return _together(told)

    async def _listen(self) -> None:
        changes = await self._events.wait()
        now_s = self._clock.monotonic_s()
        self._told.append(changes)
        self._hearing.tell(changes, now_s)
        # Now, because the node of a device goes before the device: a look between the two finds no change.
        if changed := self._changed_devices():
            self._hearing.see(NodeChanges(), changed, now_s)

    async def _look(self) -> None:
        seen = await self._lookout.wait()
        self._hearing.see(seen, self._changed_devices(), self._clock.monotonic_s())

    def _changed_devices(self) -> frozenset[str]:
        before, self._devices = self._devices, self._list()
        return frozenset(name for name, _ in before ^ self._devices)

    async def _until_due(self) -> None:
        due_s = self._hearing.due_s
        if due_s is None:
            await anyio.sleep_forever()
        else:
            await self._clock.sleep(max(due_s - self._clock.monotonic_s(), 0.0))

    def _say(self) -> None:
        if self._hearing.is_silent == self._was_silent:
            return
        self._was_silent = self._hearing.is_silent
        if self._was_silent:
            _log.warning(
                "devices came or went without a %s event: such events do not arrive here, as in a container with a"
                " network of its own; watching the nodes and devices instead",
                self._name,
            )
        else:
            _log.info("%s events arrive again", self._name)

    def close(self) -> None:
        self._events.close()
        self._lookout.close()


def _together(told: list[NodeChanges]) -> NodeChanges:
    return reduce(or_, told)

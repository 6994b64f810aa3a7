"""Choice of the watcher for plugged and removed devices."""

import logging
from collections.abc import Callable, Iterator
from typing import Literal

from agent_core.plugin import Clock
from v4l2_tier.settings import HotplugKind
from v4l2_tier.source.hotplug.hearing import Patience
from v4l2_tier.source.hotplug.inotify import InotifyWatcher
from v4l2_tier.source.hotplug.netlink import NetlinkWatcher
from v4l2_tier.source.hotplug.polling import PollWatcher, kernel_devices
from v4l2_tier.source.hotplug.reach import EventReach, event_reach
from v4l2_tier.source.hotplug.several import CheckedWatcher, SeveralWatchers
from v4l2_tier.source.hotplug.watcher import HotplugWatcher
from v4l2_tier.source.inventory import udev_runs

__all__ = ("open_watcher",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: Where udev's events are known to arrive it may be slow; elsewhere what is seen is as good.
_PATIENT, _IMPATIENT = Patience(5.0, 30.0), Patience(0.5, 10.0)


def open_watcher(
    kind: HotplugKind, clock: Clock, reach: Callable[[], EventReach] = event_reach
) -> HotplugWatcher:
    """Open a watcher of `kind`, or poll if it cannot be opened; `auto` takes the first whose events arrive.

    Whether they do is checked by looking at the nodes; if not, that look takes over. The log names the method in use.
    The caller closes the watcher.
    """
    if kind == "poll":
        return _polling(clock)
    found = reach()
    if found.doubt:
        _log.warning("%s", found.doubt)
    for name in _event_kinds(kind, found):
        is_sure = name == "udev" and found.udev is True
        if (watcher := _events(name, clock, is_sure=is_sure, is_wish=kind == name)) is not None:
            return watcher
    nodes = _inotify(is_wish=kind == "inotify") if kind in ("auto", "inotify") else None
    if nodes is None:
        return _polling(clock)
    if kind == "inotify":
        _log.info("watching for devices by inotify events")
        return nodes
    # Nodes that a container was given stay when their device is gone: only sysfs tells that.
    _log.info("watching for devices by inotify events and polling")
    return SeveralWatchers(nodes, PollWatcher(clock))


def _event_kinds(kind: HotplugKind, reach: EventReach) -> Iterator[Literal["udev", "kernel"]]:
    """Yield the kinds of netlink events to try: the wanted one, or those that may arrive."""
    if kind == "udev" or (kind == "auto" and udev_runs() and reach.udev is not False):
        yield "udev"
    if kind == "kernel" or (kind == "auto" and reach.kernel is not False):
        yield "kernel"


def _events(
    name: Literal["udev", "kernel"], clock: Clock, *, is_sure: bool, is_wish: bool
) -> HotplugWatcher | None:
    try:
        events = NetlinkWatcher(name)
    except (OSError, ImportError) as error:
        _tell_failure(name, error, is_wish=is_wish)
        return None
    _log.info("watching for devices by %s events", name)
    nodes = _inotify(is_wish=False)
    lookouts = [] if nodes is None else [nodes]
    if not is_sure or nodes is None:
        lookouts.append(PollWatcher(clock))
    return CheckedWatcher(
        name,
        events,
        SeveralWatchers(*lookouts),
        kernel_devices,
        _PATIENT if is_sure else _IMPATIENT,
        clock,
    )


def _inotify(*, is_wish: bool) -> HotplugWatcher | None:
    try:
        return InotifyWatcher()
    except OSError as error:
        _tell_failure("inotify", error, is_wish=is_wish)
        return None


def _polling(clock: Clock) -> HotplugWatcher:
    _log.info("watching for devices by polling")
    return PollWatcher(clock)


def _tell_failure(name: str, error: Exception, *, is_wish: bool) -> None:
    level = logging.WARNING if is_wish else logging.INFO
    _log.log(level, "cannot watch for devices by %s events: %s", name, error)

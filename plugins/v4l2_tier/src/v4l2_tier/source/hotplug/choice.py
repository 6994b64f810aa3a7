"""Which of the ways to notice devices is used: udev, the kernel's netlink, inotify on /dev, looking again and again."""

import logging
from typing import TYPE_CHECKING, Literal

from agent_core.plugin import Clock
from v4l2_tier.source.hotplug.inotify import InotifyWatcher
from v4l2_tier.source.hotplug.netlink import NetlinkWatcher
from v4l2_tier.source.hotplug.polling import PollWatcher
from v4l2_tier.source.hotplug.watcher import HotplugWatcher
from v4l2_tier.source.inventory import udev_runs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("HotplugKind", "open_watcher")

_log = logging.getLogger("camera_agent.v4l2_tier")

HotplugKind = Literal["auto", "udev", "kernel", "inotify", "poll"]


def open_watcher(kind: HotplugKind, clock: Clock) -> HotplugWatcher:
    """A watcher of this kind; what cannot be had is replaced by the next that can, and that is said."""
    ways: dict[str, Callable[[], HotplugWatcher]] = {
        "udev": lambda: NetlinkWatcher("udev"),
        "kernel": lambda: NetlinkWatcher("kernel"),
        "inotify": InotifyWatcher,
    }
    if kind == "auto" and not udev_runs():
        del ways["udev"]  # its socket would open, and stay silent for ever
    for name, opened in ways.items():
        if kind not in ("auto", name):
            continue
        try:
            watcher = opened()
        except (OSError, ImportError) as error:
            level = logging.INFO if kind == "auto" else logging.WARNING
            _log.log(level, "devices cannot be noticed by %s: %s", name, error)
        else:
            _log.info("devices that come and go are noticed by %s", name)
            return watcher
    _log.info("devices that come and go are noticed by looking again and again")
    return PollWatcher(clock)

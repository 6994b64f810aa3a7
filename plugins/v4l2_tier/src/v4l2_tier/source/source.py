"""Source of V4L2 cameras. Its parts are imported when it starts to watch, to keep the agent's start light."""

import logging
from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import AgentContext, CameraReport, CameraSource, Clock
from v4l2_tier.settings import SOURCE, HotplugKind, V4l2TierSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from v4l2_tier.source.hotplug.watcher import HotplugWatcher

__all__ = ("V4l2Source", "open_watcher")

_log = logging.getLogger("camera_agent.v4l2_tier")


class V4l2Source(CameraSource):
    """Source of V4L2 cameras; `watch` owns one task per camera."""

    def __init__(self, settings: V4l2TierSettings, agent: AgentContext) -> None:
        self._settings = settings
        self._agent = agent

    @property
    def name(self) -> str:
        return SOURCE

    async def watch(
        self, report: CameraReport, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        from v4l2_tier.source.context import CameraContext
        from v4l2_tier.source.inventory import open_inventory
        from v4l2_tier.source.roster import DeviceRoster
        from v4l2_tier.source.sockets import SocketPaths

        context = CameraContext(
            self._settings, report, self._agent.clock, SocketPaths(self._agent.runtime_dir)
        )
        inventory = open_inventory()
        watcher = open_watcher(self._settings.hotplug, self._agent.clock)  # before the first look
        try:
            async with anyio.create_task_group() as tg:
                await DeviceRoster(inventory, watcher, context, tg).run(task_status=task_status)
        finally:
            watcher.close()


def open_watcher(kind: HotplugKind, clock: Clock) -> "HotplugWatcher":
    """Open a watcher of `kind`, or poll if it cannot be opened; `auto` takes the first that opens.

    The log names the method in use. The caller closes the watcher.
    """
    from v4l2_tier.source.hotplug.inotify import InotifyWatcher
    from v4l2_tier.source.hotplug.netlink import NetlinkWatcher
    from v4l2_tier.source.hotplug.polling import PollWatcher
    from v4l2_tier.source.inventory import udev_runs

    methods: dict[str, Callable[[], HotplugWatcher]] = {
        "udev": lambda: NetlinkWatcher("udev"),
        "kernel": lambda: NetlinkWatcher("kernel"),
        "inotify": InotifyWatcher,
    }
    if kind == "auto" and not udev_runs():
        del methods["udev"]  # without a udev daemon its socket opens, and stays silent
    for name, opened in methods.items():
        if kind not in ("auto", name):
            continue
        try:
            watcher = opened()
        except (OSError, ImportError) as error:
            level = logging.INFO if kind == "auto" else logging.WARNING
            _log.log(level, "cannot watch for devices by %s events: %s", name, error)
        else:
            _log.info("watching for devices by %s events", name)
            return watcher
    _log.info("watching for devices by polling")
    return PollWatcher(clock)

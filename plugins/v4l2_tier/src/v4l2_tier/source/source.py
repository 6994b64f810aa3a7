"""Source of V4L2 cameras.

Apart from the plugin, so that the agent's start stays light: its parts are imported when it starts to watch.
"""

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from agent_core.plugin import AgentContext, CameraReport, CameraSource
from v4l2_tier.settings import SOURCE, V4l2TierSettings

__all__ = ("V4l2Source",)


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
        from v4l2_tier.source.hotplug.choice import open_watcher
        from v4l2_tier.source.inventory import open_inventory
        from v4l2_tier.source.roster import DeviceRoster
        from v4l2_tier.source.sensors import SensorNodes
        from v4l2_tier.source.sockets import SocketPaths

        context = CameraContext(
            self._settings,
            report,
            self._agent.clock,
            SocketPaths(self._agent.runtime_dir),
            sensors=SensorNodes(self._agent.plugins),
        )
        inventory = open_inventory(self._agent.clock.monotonic_s)
        watcher = open_watcher(self._settings.hotplug, self._agent.clock)  # before the first look
        try:
            async with anyio.create_task_group() as tg:
                await DeviceRoster(inventory, watcher, context, tg).run(task_status=task_status)
        finally:
            watcher.close()

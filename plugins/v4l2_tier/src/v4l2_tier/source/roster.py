"""The roll: all nodes looked at, settled ones given to a camera each, gone ones taken away."""

from typing import TYPE_CHECKING

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskGroup, TaskStatus

from agent_core.plugin import Clock, GrowingPauses
from v4l2_tier.source.context import CameraContext
from v4l2_tier.source.debounce import Debounce
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, Noticed
from v4l2_tier.source.inventory import DeviceNode, Inventory

if TYPE_CHECKING:
    from v4l2_tier.source.camera import V4l2Camera

__all__ = ("DeviceRoster",)

#: While udev has not said what it knows of a node: looked again after so long, and then ever less often.
_FIRST_WAIT_S = 0.2


class DeviceRoster:
    """Which nodes there are and the camera that looks after each."""

    def __init__(
        self, inventory: Inventory, watcher: HotplugWatcher, context: CameraContext, tasks: TaskGroup
    ) -> None:
        self._inventory = inventory
        self._watcher = watcher
        self._context = context
        self._tasks = tasks
        self._clock: Clock = context.clock
        self._debounce = Debounce(context.settings.settle_s)
        self._cameras: dict[str, V4l2Camera] = {}
        self._waits = GrowingPauses(_FIRST_WAIT_S, context.settings.reconcile_s)
        self._look_s = 0.0

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        await self._look(Noticed())
        # One after the other, by number: so ids do not depend on which device answers first.
        for node in self._debounce.settled(self._clock.monotonic_s(), at_once=True):
            await self._tasks.start(self._look_after, self._new_camera(node))
        task_status.started()
        while True:
            noticed = await self._wait()
            await self._look(noticed)
            for node in self._debounce.settled(self._clock.monotonic_s()):
                self._tasks.start_soon(self._look_after, self._new_camera(node))

    async def _look(self, noticed: Noticed) -> None:
        """All of them, each time: there are few, and an event can be lost or come twice."""
        nodes, waiting = await self._inventory.look()
        now_s = self._clock.monotonic_s()
        for node in self._debounce.look(nodes, now_s, removed=noticed.removed, touched=noticed.touched):
            self._cameras.pop(node.name).gone()
        if not waiting:
            self._waits.reset()
        self._look_s = now_s + (self._waits.next_s() if waiting else self._context.settings.reconcile_s)

    def _new_camera(self, node: DeviceNode) -> "V4l2Camera":
        from v4l2_tier.source.camera import V4l2Camera  # with all that opens devices: not before there is one

        camera = self._cameras[node.name] = V4l2Camera(node, self._context)
        return camera

    async def _look_after(
        self, camera: "V4l2Camera", *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED
    ) -> None:
        told = False

        def looked_at() -> None:
            nonlocal told
            if not told:
                told = True
                task_status.started()

        await camera.run(looked_at)

    async def _wait(self) -> Noticed:
        """The next notice; or nothing, when a node has settled or it is time to look without a reason."""
        due_s = min(self._look_s, self._debounce.next_s or self._look_s)
        noticed = Noticed()

        async def notice() -> None:
            nonlocal noticed
            noticed = await self._watcher.wait()
            tg.cancel_scope.cancel()

        async with anyio.create_task_group() as tg:
            tg.start_soon(notice)
            await self._clock.sleep(max(due_s - self._clock.monotonic_s(), 0.0))
            tg.cancel_scope.cancel()
        return noticed

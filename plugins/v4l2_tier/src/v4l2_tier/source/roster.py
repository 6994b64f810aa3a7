"""Roster of device nodes: starts a camera for each settled node, and ends it when the node is gone."""

import logging
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from anyio.abc import TaskGroup, TaskStatus

from agent_core.plugin import Clock, GrowingPauses, first_of
from v4l2_tier.source.context import CameraContext
from v4l2_tier.source.debounce import Debounce
from v4l2_tier.source.hotplug.watcher import HotplugWatcher, NodeChanges
from v4l2_tier.source.inventory import DeviceNode, Inventory
from v4l2_tier.source.joined_nodes import JoinedNodes
from v4l2_tier.source.start_order import StartOrder

if TYPE_CHECKING:
    from v4l2_tier.source.camera import V4l2Camera

__all__ = ("DeviceRoster",)

_log = logging.getLogger("camera_agent.v4l2_tier")

#: First pause before another look while udev still processes a node; the pauses grow.
_FIRST_WAIT_S = 0.2


class DeviceRoster:
    """Device nodes and the `V4l2Camera` that serves each; the cameras run in the caller's `tasks`."""

    def __init__(
        self, inventory: Inventory, watcher: HotplugWatcher, context: CameraContext, tasks: TaskGroup
    ) -> None:
        self._inventory = inventory
        self._watcher = watcher
        joins = context.settings.join_nodes
        self._joined = JoinedNodes(context.report, clock=context.clock, tasks=tasks, joins=joins)
        self._context = replace(context, report=self._joined, dismiss=self._joined.dismiss)
        self._tasks = tasks
        self._clock: Clock = context.clock
        self._debounce = Debounce(context.settings.settle_s)
        self._cameras: dict[str, V4l2Camera] = {}
        self._waits = GrowingPauses(_FIRST_WAIT_S, context.settings.reconcile_s)
        self._look_s = 0.0

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Follow the devices until cancelled; started once those that answer in time are reported."""
        await self._look(NodeChanges())
        order = self._start(self._debounce.settled(self._clock.monotonic_s(), at_once=True))
        self._tasks.start_soon(self._tell_unused_tables, order)
        await order.wait()
        task_status.started()
        while True:
            changes = await self._wait()
            await self._look(changes)
            self._start(self._debounce.settled(self._clock.monotonic_s()))

    def _start(self, nodes: Iterable[DeviceNode]) -> StartOrder:
        """Start the cameras beside each other; they report in the order of the nodes."""
        order = StartOrder(self._clock)
        for node in nodes:
            self._tasks.start_soon(self._new_camera(node).run, order.next())
        return order

    async def _tell_unused_tables(self, order: StartOrder) -> None:
        await order.wait_all()
        for match in self._context.tables.unused:
            _log.warning("no connected camera matches %r, a table of plugins.v4l2_tier.cameras", match)

    async def _look(self, changes: NodeChanges) -> None:
        """Read all nodes: there are few, and an event can be lost or repeated."""
        nodes, waiting = await self._inventory.look()
        now_s = self._clock.monotonic_s()
        for node in self._debounce.look(nodes, now_s, changes):
            self._cameras.pop(node.name).gone()
            self._joined.drop(node.name)
        self._joined.present(nodes)
        for camera in self._cameras.values():
            if changes.touches(camera.node):
                camera.touched()
        if not waiting:
            self._waits.reset()
        self._look_s = now_s + (self._waits.next_s() if waiting else self._context.settings.reconcile_s)
        if (due_s := self._inventory.due_s) is not None:
            self._look_s = min(self._look_s, due_s)

    def _new_camera(self, node: DeviceNode) -> "V4l2Camera":
        from v4l2_tier.source.camera import V4l2Camera  # large: loaded with the first device

        camera = self._cameras[node.name] = V4l2Camera(node, self._context)
        return camera

    async def _wait(self) -> NodeChanges:
        """Return the next changes, or none when a node has settled or the next look is due."""
        due_s = min(self._look_s, self._debounce.next_s or self._look_s)
        changes = NodeChanges()

        async def notice() -> None:
            nonlocal changes
            changes = await self._watcher.wait()

        await first_of(notice, partial(self._clock.sleep, max(due_s - self._clock.monotonic_s(), 0.0)))
        return changes

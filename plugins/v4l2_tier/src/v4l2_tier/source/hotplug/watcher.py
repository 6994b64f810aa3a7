"""Interface of the hotplug watchers."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from v4l2_tier.source.inventory import DeviceNode

__all__ = ("HotplugWatcher", "NodeChanges")


@dataclass(frozen=True, slots=True)
class NodeChanges:
    """Changes, as far as the watcher knows what changed; even empty, a reason to look again.

    The kernel's devices and the nodes are apart: in some containers a node has the name of another device.

    Attributes:
        removed: kernel's names (`video0`) of devices that were removed, even if they exist again.
        touched: kernel's names of devices with any other event.
        removed_nodes: paths of nodes that were removed, even if they exist again.
        touched_nodes: paths of nodes with any other event.
    """

    removed: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    removed_nodes: frozenset[Path] = frozenset()
    touched_nodes: frozenset[Path] = frozenset()

    def __or__(self, other: "NodeChanges") -> "NodeChanges":
        return NodeChanges(
            self.removed | other.removed,
            self.touched | other.touched,
            self.removed_nodes | other.removed_nodes,
            self.touched_nodes | other.touched_nodes,
        )

    @property
    def is_unnamed(self) -> bool:
        """True if the watcher does not know what changed."""
        return not (self.removed or self.touched or self.removed_nodes or self.touched_nodes)

    def removes(self, node: DeviceNode) -> bool:
        """Return whether the node, or its device, was removed."""
        return node.name in self.removed or node.path in self.removed_nodes

    def touches(self, node: DeviceNode) -> bool:
        """Return whether there was another event of the node, or of its device."""
        return node.name in self.touched or node.path in self.touched_nodes

    def without(self, devices: Collection[str]) -> "NodeChanges":
        """Return the changes of other devices than these, and of nodes that have other names."""
        return NodeChanges(
            self.removed.difference(devices),
            self.touched.difference(devices),
            frozenset(path for path in self.removed_nodes if path.name not in devices),
            frozenset(path for path in self.touched_nodes if path.name not in devices),
        )


class HotplugWatcher(ABC):
    """Watcher for changes of device nodes.

    Its events only trigger a look at all nodes: a lost event delays a change, and never falsifies the roster.
    """

    @abstractmethod
    async def wait(self) -> NodeChanges:
        """Return at the next change of any video4linux node; cancelling loses no event."""

    def close(self) -> None:  # noqa: B027 - optional
        """Close descriptors; `wait` must not be called afterwards."""

"""Decision when a device node is ready for use and when it is gone; sans-I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from v4l2_tier.source.hotplug.watcher import NodeChanges
from v4l2_tier.source.inventory import DeviceNode

__all__ = ("Debounce",)

#: Longest wait, in settling times, for a node that events keep touching.
_LONGEST = 10
_UNTOLD = NodeChanges()


@dataclass(slots=True)
class _Pending:
    """Device node that has not settled; times of the monotonic clock."""

    node: DeviceNode
    first_s: float
    last_s: float


class Debounce:
    """Device nodes that have existed, unchanged, for `settle_s` (seconds).

    Name, incarnation and path identify a node. A node that disappears before it settles is never returned. A node that
    disappears and returns, however quickly, is reported gone and settles again: it may be another camera.
    """

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._pending: dict[str, _Pending] = {}
        self._settled: dict[str, DeviceNode] = {}

    @property
    def next_s(self) -> float | None:
        """Monotonic time at which the next node settles if no event comes first; None if none is pending."""
        return min((self._due_s(each) for each in self._pending.values()), default=None)

    def look(
        self, nodes: Iterable[DeviceNode], now_s: float, changes: NodeChanges = _UNTOLD
    ) -> tuple[DeviceNode, ...]:
        """Record the present nodes; return the settled nodes that are gone.

        Args:
            nodes: all nodes that exist now.
            now_s: monotonic.
            changes: events since the last look.
        """
        present = {node.name: node for node in nodes}
        gone = tuple(
            node
            for name, node in self._settled.items()
            if changes.removes(node) or not _same(node, present.get(name))
        )
        for node in gone:
            del self._settled[node.name]
        self._pending = {
            name: self._still_pending(node, now_s, new=changes.removes(node), touched=changes.touches(node))
            for name, node in present.items()
            if name not in self._settled
        }
        return gone

    def _still_pending(self, node: DeviceNode, now_s: float, *, new: bool, touched: bool) -> _Pending:
        before = self._pending.get(node.name)
        if before is None or new or not _same(before.node, node):
            return _Pending(node, now_s, now_s)
        return _Pending(node, before.first_s, now_s if touched else before.last_s)

    def settled(self, now_s: float, *, at_once: bool = False) -> tuple[DeviceNode, ...]:
        """Return the nodes that have settled since the last call, or all pending nodes with `at_once`."""
        done = [each.node for each in self._pending.values() if at_once or self._due_s(each) <= now_s]
        for node in done:
            del self._pending[node.name]
            self._settled[node.name] = node
        return tuple(done)

    def _due_s(self, pending: _Pending) -> float:
        longest_s = pending.first_s + _LONGEST * self._settle_s
        return min(pending.last_s + self._settle_s, longest_s)


def _same(node: DeviceNode, other: DeviceNode | None) -> bool:
    """Return whether both are the same node, ignoring properties that udev may have changed."""
    return other is not None and _key(node) == _key(other)


def _key(node: DeviceNode) -> tuple[str, int, Path]:
    return node.name, node.incarnation, node.path

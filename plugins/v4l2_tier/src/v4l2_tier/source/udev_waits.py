"""Decision how long nodes wait for udev; sans-I/O.

udev may never finish a device: its socket outlives it, in the /run of a host without systemd and in a container's copy,
and a program that its rules call may hang.
"""

from collections.abc import Collection

__all__ = ("FIRST_WAIT_S", "LATER_WAIT_S", "NodeKey", "UdevWaits")

#: Kernel's name and incarnation of a node.
NodeKey = tuple[str, int]

#: Assumption: far above the milliseconds of udev's rules for cameras, so that a busy start of a machine does not count.
#: A node that is used too early has no ID_PATH, and may be taken for another camera.
FIRST_WAIT_S = 15.0
#: After a wait in vain, until udev finishes a node: a camera is then noticed within 2 s all the same.
LATER_WAIT_S = 0.5


class UdevWaits:
    """Nodes that udev has yet to finish, each waited for once and within a bound.

    A node that has been used is not waited for again, even if udev's database disappears.
    """

    def __init__(self) -> None:
        self._since_s: dict[NodeKey, float] = {}
        self._used: frozenset[NodeKey] = frozenset()
        self._bound_s = FIRST_WAIT_S

    @property
    def due_s(self) -> float | None:
        """Monotonic time at which the wait for the next node ends, None if none waits."""
        waiting_s = [since_s for key, since_s in self._since_s.items() if key not in self._used]
        return min(waiting_s) + self._bound_s if waiting_s else None

    def look(
        self, done: Collection[NodeKey], undone: Collection[NodeKey], now_s: float
    ) -> frozenset[NodeKey]:
        """Record which of the present nodes udev has finished; return those of `undone` that are used all the same."""
        if not self._since_s.keys().isdisjoint(done):
            self._bound_s = FIRST_WAIT_S
        self._since_s = {key: self._since_s.get(key, now_s) for key in undone}
        overdue = {key for key, since_s in self._since_s.items() if since_s + self._bound_s <= now_s}
        if overdue - self._used:
            self._bound_s = LATER_WAIT_S
        without = frozenset(overdue | (self._used & self._since_s.keys()))
        self._used = without.union(done)
        return without

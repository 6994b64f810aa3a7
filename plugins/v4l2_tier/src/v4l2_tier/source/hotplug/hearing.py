"""Decision whether events arrive, by what a look at the devices shows; sans-I/O."""

from collections.abc import Collection
from dataclasses import dataclass, field

from v4l2_tier.source.hotplug.watcher import NodeChanges

__all__ = ("Hearing", "Patience")


@dataclass(frozen=True, slots=True)
class Patience:
    """Times to wait for the event of a change that was seen (seconds); udev sends it once its rules are done.

    After `grace_s` what was seen counts without an event. After `lost_s` events count as silent.
    """

    grace_s: float
    lost_s: float


@dataclass(slots=True)
class _Seen:
    """Changes that were seen and for which no event has come; times of the monotonic clock."""

    changes: NodeChanges = field(default_factory=NodeChanges)
    since_s: float | None = None

    def drop(self, devices: Collection[str]) -> None:
        self.changes = self.changes.without(devices)
        if self.changes.is_unnamed:
            self.since_s = None


class Hearing:
    """Changes seen that are yet to be told by events, and whether events arrive at all.

    While events arrive, they alone count, as udev sends them when it has done its work. What is seen counts after
    a grace without an event, and at once as long as events are known to be silent.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._seen = _Seen()
        self._told_s: dict[str, float] = {}
        self._untold_s: dict[str, float] = {}
        self._is_silent = False

    @property
    def is_silent(self) -> bool:
        """True after a change of the kernel's devices of which no event has told, until one tells something."""
        return self._is_silent

    @property
    def due_s(self) -> float | None:
        """Monotonic time of the next decision without news, None if there is none."""
        due_s = [each_s + self._patience.lost_s for each_s in self._untold_s.values()]
        if self._seen.since_s is not None:
            due_s.append(self._seen.since_s + self._grace_s)
        return min(due_s, default=None)

    @property
    def _grace_s(self) -> float:
        return 0.0 if self._is_silent else self._patience.grace_s

    def tell(self, changes: NodeChanges, now_s: float) -> None:
        """Record an event of the kernel's devices, which tells of their nodes, too."""
        self._is_silent = False
        names = changes.removed | changes.touched
        self._seen.drop(names)
        for name in names:
            self._untold_s.pop(name, None)
            self._told_s[name] = now_s

    def see(self, changes: NodeChanges, devices: Collection[str], now_s: float) -> None:
        """Record changes that were seen; `devices` are those of the kernel that came or went, each of which has an event."""
        self._told_s = {
            name: at_s for name, at_s in self._told_s.items() if at_s > now_s - self._patience.lost_s
        }
        for name in devices:
            if name not in self._told_s:
                self._untold_s.setdefault(name, now_s)
        changed = changes | NodeChanges(touched=frozenset(devices))
        self._seen.changes |= changed.without(self._told_s)
        if self._seen.since_s is None and (changed.is_unnamed or not self._seen.changes.is_unnamed):
            self._seen.since_s = now_s

    def decide(self, now_s: float) -> NodeChanges | None:
        """Return the changes that no event has told of in time, None if there are none yet."""
        if any(at_s + self._patience.lost_s <= now_s for at_s in self._untold_s.values()):
            self._untold_s.clear()
            self._is_silent = True
        if self._seen.since_s is None or self._seen.since_s + self._grace_s > now_s:
            return None
        seen, self._seen = self._seen, _Seen()
        return seen.changes

"""Slots of a server's connections: their number, assignment and eviction. Decides without I/O."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ("Slot", "SlotLimits", "Slots")

#: Without clients the agent and its plugins have about 40 descriptors open, plus about 10 per camera.
_RESERVE_DESCRIPTORS = 128
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """Limits on open connections: in total, per address, and not authenticated."""

    total: int
    per_address: int
    anonymous: int

    def within(self, descriptors: int) -> "SlotLimits":
        """Return these limits, lowered for a process limited to `descriptors` open files.

        Connections get half of the descriptors beyond the reserve; the other half is for downloads, cameras,
        recordings and child processes.
        """
        total = min(self.total, max(_FEWEST, (descriptors - _RESERVE_DESCRIPTORS) // 2))
        return SlotLimits(total, min(self.per_address, total), min(self.anonymous, total))


@dataclass(eq=False, slots=True)
class Slot:
    """Slot of one connection. Eviction frees the slot, then calls `give_way`."""

    address: str
    give_way: Callable[[], None]
    is_known: bool = False


class Slots:
    """Slots of one server.

    A new connection is anonymous. Anonymous connections share `limits.anonymous` slots; there is no time limit, so
    that a login page may wait minutes for its user, but a new connection evicts the oldest one. The address with
    the most anonymous connections loses first, so that one peer cannot evict all others.
    """

    def __init__(self, limits: SlotLimits) -> None:
        self._limits = limits
        self._open: set[Slot] = set()
        self._addresses: Counter[str] = Counter()
        #: Ordered by when they became anonymous.
        self._anonymous: dict[Slot, None] = {}

    def configure(self, limits: SlotLimits) -> None:
        """Apply new limits to connections that come from now on; those beyond them stay until they end."""
        self._limits = limits

    def __len__(self) -> int:
        return len(self._open)

    @property
    def anonymous(self) -> int:
        return len(self._anonymous)

    @property
    def is_full(self) -> bool:
        """True if no new connection can get a slot, whatever its address."""
        return len(self._open) >= self._limits.total and not self._anonymous

    def enter(self, address: str, give_way: Callable[[], None]) -> Slot | None:
        """Return a slot for a new connection from `address`; None if known peers hold all of them."""
        if not self._make_room(address):
            return None
        slot = Slot(address, give_way)
        self._open.add(slot)
        self._addresses[address] += 1
        self._anonymous[slot] = None
        return slot

    def leave(self, slot: Slot) -> None:
        """Release the slot; does nothing if it was evicted."""
        if slot not in self._open:
            return
        self._open.remove(slot)
        self._anonymous.pop(slot, None)
        self._addresses[slot.address] -= 1
        if not self._addresses[slot.address]:
            del self._addresses[slot.address]

    def set_known(self, slot: Slot, *, is_known: bool) -> None:
        """Count the connection as known, or as the newest anonymous one."""
        if slot not in self._open or slot.is_known is is_known:
            return
        slot.is_known = is_known
        if is_known:
            del self._anonymous[slot]
            return
        self._anonymous[slot] = None
        if len(self._anonymous) > self._limits.anonymous:
            self._evict(self._oldest_of_most())

    def _make_room(self, address: str) -> bool:
        if self._addresses[address] >= self._limits.per_address:
            oldest = next((slot for slot in self._anonymous if slot.address == address), None)
            if oldest is None:
                return False
            self._evict(oldest)
        if len(self._open) < self._limits.total and len(self._anonymous) < self._limits.anonymous:
            return True
        if not self._anonymous:
            return False
        self._evict(self._oldest_of_most())
        return True

    def _oldest_of_most(self) -> Slot:
        counts = Counter(slot.address for slot in self._anonymous)
        most = max(counts.values())
        return next(slot for slot in self._anonymous if counts[slot.address] == most)

    def _evict(self, slot: Slot) -> None:
        self.leave(slot)
        slot.give_way()

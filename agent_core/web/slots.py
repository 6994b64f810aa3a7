"""Slots of a server's connections: how many there are, who gets one and who gives way. Decides without I/O."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ("Slot", "SlotLimits", "Slots")

#: Without clients the agent with its plugins has some forty descriptors open, and some ten more for each camera.
_RESERVE_DESCRIPTORS = 128
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """Counts of open connections: all, those of one address, and those that nobody has authenticated."""

    total: int
    per_address: int
    anonymous: int

    def within(self, descriptors: int) -> "SlotLimits":
        """Return these limits, or lower ones for a process that may have `descriptors` files open.

        Connections get half of what the agent does not need for itself; the other half is for the files that they
        download, for cameras, recordings and children.
        """
        total = min(self.total, max(_FEWEST, (descriptors - _RESERVE_DESCRIPTORS) // 2))
        return SlotLimits(total, min(self.per_address, total), min(self.anonymous, total))


@dataclass(eq=False, slots=True)
class Slot:
    """One connection's slot. `give_way` is called when it is taken back; the slot is free by then."""

    address: str
    give_way: Callable[[], None]
    is_known: bool = False


class Slots:
    """The slots of one server.

    A newcomer is anonymous. Anonymous connections share `limits.anonymous` slots, and the oldest of them gives way
    when a newcomer needs one: a login page may wait minutes for its user while nobody else wants the slot. The
    addresses with most of them lose first, so that one peer cannot push out all others.
    """

    def __init__(self, limits: SlotLimits) -> None:
        self._limits = limits
        self._open: set[Slot] = set()
        self._addresses: Counter[str] = Counter()
        #: In the order in which they became anonymous.
        self._anonymous: dict[Slot, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def anonymous(self) -> int:
        return len(self._anonymous)

    @property
    def is_full(self) -> bool:
        """No newcomer can get a slot, wherever it comes from."""
        return len(self._open) >= self._limits.total and not self._anonymous

    def enter(self, address: str, give_way: Callable[[], None]) -> Slot | None:
        """Return a slot for a newcomer from `address`; None where all are taken by peers that are known."""
        if not self._make_room(address):
            return None
        slot = Slot(address, give_way)
        self._open.add(slot)
        self._addresses[address] += 1
        self._anonymous[slot] = None
        return slot

    def leave(self, slot: Slot) -> None:
        """Give the slot back; does nothing where it has been taken back."""
        if slot not in self._open:
            return
        self._open.remove(slot)
        self._anonymous.pop(slot, None)
        self._addresses[slot.address] -= 1
        if not self._addresses[slot.address]:
            del self._addresses[slot.address]

    def set_known(self, slot: Slot, *, is_known: bool) -> None:
        """Take the connection out of the anonymous ones, or count it as the newest of them."""
        if slot not in self._open or slot.is_known is is_known:
            return
        slot.is_known = is_known
        if is_known:
            del self._anonymous[slot]
            return
        self._anonymous[slot] = None
        if len(self._anonymous) > self._limits.anonymous:
            self._take_back(self._oldest_of_most())

    def _make_room(self, address: str) -> bool:
        if self._addresses[address] >= self._limits.per_address:
            oldest = next((slot for slot in self._anonymous if slot.address == address), None)
            if oldest is None:
                return False
            self._take_back(oldest)
        if len(self._open) < self._limits.total and len(self._anonymous) < self._limits.anonymous:
            return True
        if not self._anonymous:
            return False
        self._take_back(self._oldest_of_most())
        return True

    def _oldest_of_most(self) -> Slot:
        counts = Counter(slot.address for slot in self._anonymous)
        most = max(counts.values())
        return next(slot for slot in self._anonymous if counts[slot.address] == most)

    def _take_back(self, slot: Slot) -> None:
        self.leave(slot)
        slot.give_way()

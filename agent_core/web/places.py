"""Places of a server's connections: how many there are, who gets one and who gives way. Decides without I/O."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ("Place", "PlaceLimits", "Places")

#: Without clients the agent with its plugins has some forty descriptors open, and some ten more for each camera.
_RESERVE_DESCRIPTORS = 128
_FEWEST = 8


@dataclass(frozen=True, slots=True)
class PlaceLimits:
    """Counts of open connections: all, those of one address, and those that nobody has authenticated."""

    total: int
    per_address: int
    anonymous: int

    def within(self, descriptors: int) -> "PlaceLimits":
        """Return these limits, or lower ones for a process that may have `descriptors` files open.

        Connections get half of what the agent does not need for itself; the other half is for the files that they
        download, for cameras, recordings and children.
        """
        total = min(self.total, max(_FEWEST, (descriptors - _RESERVE_DESCRIPTORS) // 2))
        return PlaceLimits(total, min(self.per_address, total), min(self.anonymous, total))


@dataclass(eq=False, slots=True)
class Place:
    """One connection's place. `give_way` is called when it is taken back; the place is free by then."""

    address: str
    give_way: Callable[[], None]
    is_known: bool = False


class Places:
    """The places of one server.

    A newcomer is anonymous. Anonymous connections share `limits.anonymous` places, and the oldest of them gives way
    when a newcomer needs one: a login page may wait minutes for its user while nobody else wants the place. The
    addresses with most of them lose first, so that one peer cannot push out all others.
    """

    def __init__(self, limits: PlaceLimits) -> None:
        self._limits = limits
        self._open: set[Place] = set()
        self._addresses: Counter[str] = Counter()
        #: In the order in which they became anonymous.
        self._anonymous: dict[Place, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    @property
    def anonymous(self) -> int:
        return len(self._anonymous)

    @property
    def is_full(self) -> bool:
        """No newcomer can get a place, wherever it comes from."""
        return len(self._open) >= self._limits.total and not self._anonymous

    def enter(self, address: str, give_way: Callable[[], None]) -> Place | None:
        """Return a place for a newcomer from `address`; None where all are taken by peers that are known."""
        if not self._make_room(address):
            return None
        place = Place(address, give_way)
        self._open.add(place)
        self._addresses[address] += 1
        self._anonymous[place] = None
        return place

    def leave(self, place: Place) -> None:
        """Give the place back; does nothing where it has been taken back."""
        if place not in self._open:
            return
        self._open.remove(place)
        self._anonymous.pop(place, None)
        self._addresses[place.address] -= 1
        if not self._addresses[place.address]:
            del self._addresses[place.address]

    def set_known(self, place: Place, *, is_known: bool) -> None:
        """Take the connection out of the anonymous ones, or count it as the newest of them."""
        if place not in self._open or place.is_known is is_known:
            return
        place.is_known = is_known
        if is_known:
            del self._anonymous[place]
            return
        self._anonymous[place] = None
        if len(self._anonymous) > self._limits.anonymous:
            self._take_back(self._oldest_of_most())

    def _make_room(self, address: str) -> bool:
        if self._addresses[address] >= self._limits.per_address:
            oldest = next((place for place in self._anonymous if place.address == address), None)
            if oldest is None:
                return False
            self._take_back(oldest)
        if len(self._open) < self._limits.total and len(self._anonymous) < self._limits.anonymous:
            return True
        if not self._anonymous:
            return False
        self._take_back(self._oldest_of_most())
        return True

    def _oldest_of_most(self) -> Place:
        counts = Counter(place.address for place in self._anonymous)
        most = max(counts.values())
        return next(place for place in self._anonymous if counts[place.address] == most)

    def _take_back(self, place: Place) -> None:
        self.leave(place)
        place.give_way()

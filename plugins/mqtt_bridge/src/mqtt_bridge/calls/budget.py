"""Budget that refills with time. A module of its own, as the desk and its refusals use it."""

__all__ = ("Budget",)


class Budget:
    """Units that may be spent: `most` at once, and `per_s` per second; it begins full.

    Args:
        most: units at once; something that costs more never fits.
        per_s: rate at which it refills.
        now_s: present time of the monotonic clock.
    """

    def __init__(self, most: float, per_s: float, now_s: float) -> None:
        self._most = most
        self._per_s = per_s
        self._left = most
        self._at_s = now_s

    def take(self, units: float, now_s: float) -> bool:
        """Spend units; return False, and spend none, if there are too few."""
        self._left = min(self._most, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left < units:
            return False
        self._left -= units
        return True

"""Growing pauses between attempts: each twice the one before, up to a longest."""

__all__ = ("GrowingPauses",)


class GrowingPauses:
    """Seconds to wait before the next attempt; `reset` after one that went well."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The pause that is due now."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._longest_s)
        return pause_s

    def reset(self) -> None:
        """Begin with the first pause again."""
        self._next_s = self._first_s

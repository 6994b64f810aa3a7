"""Base of the tests' tiers: a name and a rank, for any camera."""

from agent_core.base.models import Camera
from agent_core.plugin import SnapshotTier

__all__ = ("RankedTier",)


class RankedTier(SnapshotTier):
    def __init__(self, rank: int) -> None:
        self._rank = rank

    @property
    def name(self) -> str:
        return f"tier{self._rank}"

    @property
    def rank(self) -> int:
        return self._rank

    def supports(self, camera: Camera) -> bool:
        return True

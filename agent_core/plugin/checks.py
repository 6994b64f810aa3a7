"""Checks of this host that plugins make for `camera-agent doctor`, without a running agent."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ("Check", "Finding", "FindingStatus")


class FindingStatus(StrEnum):
    """The words of `get_status`'s checks."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `detail` is a sentence; `suggestion` says what to do, empty where nothing is."""

    name: str
    status: FindingStatus
    detail: str
    suggestion: str = ""


class Check(ABC):
    """A look at this host by the account that runs `camera-agent doctor`, which may see more than the agent's."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Stands for the findings where the look itself fails."""

    @abstractmethod
    async def look(self) -> Sequence[Finding]:
        """Report the state found, good or bad; change nothing, and take no device from a running agent.

        Cancelled when it takes longer than a person waits (10 s).
        """

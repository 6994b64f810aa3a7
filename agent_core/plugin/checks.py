"""Checks of this host that plugins provide for `camera-agent doctor`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ("Check", "Finding", "FindingStatus")


class FindingStatus(StrEnum):
    """Outcome of a check, with the same words as in `get_status`."""

    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Finding:
    """Result for one checked item. `detail` is a sentence; `suggestion` is the next step, empty if none is needed."""

    name: str
    status: FindingStatus
    detail: str
    suggestion: str = ""


class Check(ABC):
    """Check of this host. It runs under the account that runs `camera-agent doctor`, often root, not the agent's."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the check, shown if the check itself fails."""

    @abstractmethod
    async def look(self) -> Sequence[Finding]:
        """Inspect the host and return findings, good and bad.

        Must not change anything or take a device from a running agent. `doctor` cancels it after 10 s.
        """

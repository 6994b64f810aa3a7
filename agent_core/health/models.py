"""The agent's health as values: checks, the report of all of them, and the event of a change."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ("Check", "CheckStatus", "Health", "HealthReport", "SystemEvent")


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """A change of the agent as a whole: `topic` is `system.startup`, `.shutdown` or `.health`; components by name and state."""

    topic: str
    status: str
    components: tuple[tuple[str, str], ...]
    reason: str = ""


class Health(StrEnum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    UNHEALTHY = "UNHEALTHY"


class CheckStatus(StrEnum):
    OK = "OK"
    WARNING = "WARNING"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class Check:
    """One health check; `since` is when its status last changed."""

    name: str
    status: CheckStatus
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The health of the agent now. `probe_s` is the duration of the last successful probe of the media server."""

    status: Health
    components: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    probe_s: float | None

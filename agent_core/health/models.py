"""Values of the agent's health: checks, the report of all checks, and the event of a change."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agent_core.mediamtx.breaker import BreakerState

__all__ = ("BreakerMetrics", "Check", "CheckStatus", "Health", "HealthReport", "SystemEvent")


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """Event of the whole agent: `topic` is `system.startup`, `.shutdown` or `.health`; components by name and state."""

    topic: str
    status: str
    components: tuple[tuple[str, str], ...]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class BreakerMetrics:
    """State of the circuit to the media server, and how often it has opened since the agent's start."""

    state: BreakerState
    openings: int


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
    """Result of one check; `since` is the time of the last change of `status`."""

    name: str
    status: CheckStatus
    detail: str
    since: datetime


@dataclass(frozen=True, slots=True)
class HealthReport:
    """Health of the agent now. `probe_s` is the duration of the last answered probe of the media server."""

    status: Health
    components: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    probe_s: float | None

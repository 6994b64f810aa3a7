"""How the agent is: probes of the media server, states of the parts, kept so that asking costs nothing."""

from agent_core.health.models import Check, CheckStatus, Health, HealthReport, SystemEvent
from agent_core.health.monitor import HealthMonitor, Steady

__all__ = ("Check", "CheckStatus", "Health", "HealthMonitor", "HealthReport", "Steady", "SystemEvent")

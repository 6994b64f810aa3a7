"""How the agent is: probes of the media server, states of the parts, kept so that asking costs nothing."""

from agent_core.health.monitor import Check, CheckStatus, Health, HealthMonitor, HealthReport, Steady

__all__ = ("Check", "CheckStatus", "Health", "HealthMonitor", "HealthReport", "Steady")

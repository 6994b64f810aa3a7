"""Health of the agent: probes of the media server and the disk, and the states of the parts."""

from agent_core.health.models import Check, CheckStatus, Health, HealthReport, SystemEvent
from agent_core.health.monitor import HealthMonitor

__all__ = ("Check", "CheckStatus", "Health", "HealthMonitor", "HealthReport", "SystemEvent")

"""The public test kit, for plugins and for the agent itself."""

from agent_core.clock import SystemClock
from agent_core.testing.clock import SimulatedClock

__all__ = ("SimulatedClock", "SystemClock")
